// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0013: Migration = {
  number: 13,
  name: '0013-external-effects',
  breaking: false,
  checksum: 'f341487ba65dcbc1cae8b8d5841f999931a09c3392dc93b001ae5ce8bd2a55e8',
  sql: `-- Functions for external effects; their tables are in 0009.

-- The current slot of external effects.
create function :schema.effect_slot() returns smallint
language sql volatile
return (floor(extract(epoch from clock_timestamp()) / 691200)::bigint % 16)::smallint;

-- The outcome of an effect that counts; no row while it is open. If it is both done and given up, \`prefer\`
-- says which. A refusal followed by an attempt no longer counts.
create function :schema.effect_known(of_key text, prefer text)
returns table (state text, outcome text, fingerprint text)
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select o.state, o.outcome, o.fingerprint
    from :schema.external_effect_outcome o
   where o.key = of_key
     and (o.state <> 'refused' or o.fence is null
          or o.fence >= coalesce((select max(e.fence) from :schema.external_effect e where e.key = of_key), o.fence))
   order by (o.state = prefer) desc, (o.state <> 'refused') desc, o.fence desc nulls last
   limit 1;
$$;

-- The newest attempt at an effect, or query about it; no row if there was none.
create function :schema.effect_newest(of_key text) returns setof :schema.external_effect
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select e.* from :schema.external_effect e where e.key = of_key order by e.fence desc limit 1;
$$;

-- Begins an external effect, or undoing it; returns what to do. state: attempt (call now, under fence);
-- ask (a process has attempted it and not reported the outcome: query it now, under fence); in-progress (a process is
-- working on it, for at most retry_ms more); differs (it was begun with a different request); done, refused, tombstone.
-- Undoing an effect that was never attempted leaves a tombstone. Of a done after a tombstone, callers that undo it see
-- the done, and others the tombstone, as for an undone effect. again: a refused effect is attempted again; refusals:
-- how often it was refused.
create function :schema.effect_begin(of_key text, lease_ms bigint, undoing boolean, of_request text, again boolean)
returns table (state text, fence bigint, retry_ms bigint, outcome text, refusals bigint)
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz;
  known record;
  last :schema.external_effect;
  is_known boolean;
  print text;
  refused bigint;
  own_fence bigint;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  now_at := clock_timestamp();
  select k.* into known from :schema.effect_known(of_key, case when undoing then 'done' else 'tombstone' end) k;
  is_known := found;
  select e.* into last from :schema.effect_newest(of_key) e;
  print := coalesce(last.fingerprint, case when is_known then known.fingerprint end);
  if of_request <> print then
    return query select 'differs', null::bigint, null::bigint, null::text, 0::bigint;
    return;
  end if;
  select count(*) into refused from :schema.external_effect_outcome o where o.key = of_key and o.state = 'refused';
  if is_known and not (again and known.state = 'refused') then
    return query select
      case when known.state = 'done' and not undoing and exists (
        select from :schema.external_effect_outcome o where o.key = of_key || ':undo' and o.state = 'done')
        then 'tombstone' else known.state end,
      null::bigint, null::bigint, known.outcome, refused;
    return;
  end if;
  if last.lease_until > now_at and not is_known then
    return query select 'in-progress', null::bigint,
      ceil(extract(epoch from last.lease_until - now_at) * 1000)::bigint, null::text, refused;
    return;
  end if;
  if undoing and (last.key is null or last.not_done) then
    insert into :schema.external_effect_outcome (slot, key, state, fingerprint)
    values (:schema.effect_slot(), of_key, 'tombstone', print);
    return query select 'tombstone', null::bigint, null::bigint, null::text, refused;
    return;
  end if;
  own_fence := nextval(':schema.guard_fence');
  insert into :schema.external_effect (slot, key, fence, lease_until, fingerprint)
  values (:schema.effect_slot(), of_key, own_fence, now_at + lease_ms * interval '1 millisecond', coalesce(print, of_request));
  return query select case when last.key is null or last.not_done or is_known then 'attempt' else 'ask' end,
                      own_fence, null::bigint, null::text, refused;
end
$$;

-- Continues under a new fence and lease; null if another process has begun since, or it is decided. With a lease of 0
-- it lets others begin.
create function :schema.effect_go_on(of_key text, by_fence bigint, lease_ms bigint) returns bigint
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  last :schema.external_effect;
  own_fence bigint;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  select e.* into last from :schema.effect_newest(of_key) e;
  if by_fence <> last.fence or exists (select from :schema.effect_known(of_key, 'done')) then
    return null;
  end if;
  own_fence := nextval(':schema.guard_fence');
  insert into :schema.external_effect (slot, key, fence, lease_until, fingerprint)
  values (:schema.effect_slot(), of_key, own_fence, clock_timestamp() + lease_ms * interval '1 millisecond', last.fingerprint);
  return own_fence;
end
$$;

-- Stores the outcome of an external effect, and returns what counts: that, the outcome stored before, or fenced. A done
-- is stored under any fence, and after a tombstone or a refusal too: it is a fact. The others are decisions, and need
-- the latest fence.
create function :schema.effect_settle(of_key text, by_fence bigint, new_state text, new_outcome text)
returns table (state text, outcome text)
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  known record;
  is_known boolean;
  last :schema.external_effect;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  select k.* into known from :schema.effect_known(of_key, 'tombstone') k;
  is_known := found;
  select e.* into last from :schema.effect_newest(of_key) e;
  if not is_known and new_state <> 'done' and by_fence <> last.fence then
    return query select 'fenced', null::text;
    return;
  end if;
  if not is_known or new_state = 'done' then
    insert into :schema.external_effect_outcome (slot, key, state, outcome, fence, fingerprint)
    select :schema.effect_slot(), of_key, new_state, new_outcome, by_fence, last.fingerprint
     where not exists (select from :schema.external_effect_outcome o where o.key = of_key and o.state = 'done');
  end if;
  if is_known and not (known.state = 'refused' and new_state = 'done') then
    return query select known.state, known.outcome;
  else
    return query select new_state, new_outcome;
  end if;
end
$$;

-- External effects by key, for operators. state: in-progress (a process is working on it), unknown (it was attempted
-- and its outcome was not reported), done, refused, given-up (it must not happen). of_key: only this one.
create function :schema.effect_list(of_key text, in_states text[], older_ms bigint, after_key text, most integer)
returns table (key text, state text, first_at timestamptz, last_at timestamptz, lease_until timestamptz, attempts bigint,
               refusals bigint, decided_at timestamptz, outcome text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  perform :schema.acl_assert_open('list effects');
  return query
    select l.key, l.state, l.first_at, l.last_at, l.lease_until, l.attempts, l.refusals, l.decided_at, l.outcome from (
      select k.key,
             case when o.state = 'tombstone' then 'given-up' when o.state is not null then o.state
                  when k.lease_until > now_at then 'in-progress' else 'unknown' end as state,
             k.first_at, k.last_at, case when o.state is null then k.lease_until end as lease_until, k.attempts, k.refusals,
             case when o.state is not null then k.decided_at end as decided_at, o.outcome
        from (
          select e.key, min(e.at) as first_at, max(e.at) filter (where e.fence is not null) as last_at,
                 (array_agg(e.lease_until order by e.fence desc nulls last))[1] as lease_until,
                 count(e.fence) as attempts, count(*) filter (where e.refused) as refusals,
                 max(e.at) filter (where e.fence is null) as decided_at
            from (select a.key, a.attempted_at as at, a.fence, a.lease_until, false as refused from :schema.external_effect a
                   where of_key is null or a.key = of_key
                  union all
                  select d.key, d.decided_at, null, null, d.state = 'refused' from :schema.external_effect_outcome d
                   where of_key is null or d.key = of_key) e
           where after_key is null or e.key > after_key
           group by e.key
        ) k
        left join lateral :schema.effect_known(k.key, 'tombstone') o on true
    ) l
     where (in_states is null or l.state = any (in_states))
       and l.first_at <= now_at - older_ms * interval '1 millisecond'
     order by l.key
     limit most;
end
$$;

-- Decides an effect on an operator's knowledge, and records who decided. decision: done (it has happened; new_outcome
-- is its outcome), not-done (it has not, and no call in flight can still do it: the next caller attempts it). Any
-- effect that is not done can be decided, also while a process is working on it: that one finds the decision when it
-- reports the outcome. Returns its state before, as named by effect_list; null if there is none. The login needs the
-- right to execute this function and no other.
create function :schema.decide_effect(
  of_key text, decision text, new_outcome text, stated_by text, why text default null)
returns text
language plpgsql security definer set lock_timeout = '5s' set search_path = pg_catalog, pg_temp
as $$
declare
  before text;
  print text;
  own_fence bigint;
begin
  perform :schema.acl_assert_open('decide effects');
  if decision is null or decision not in ('done', 'not-done') then
    raise exception using errcode = '22023', message = 'the decision must be done or not-done';
  end if;
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  select l.state into before from :schema.effect_list(of_key, null, 0, null, 1) l;
  if before is null or before = 'done' or (before = 'given-up' and decision = 'not-done') then
    return before;
  end if;
  select e.fingerprint into print from :schema.effect_newest(of_key) e;
  own_fence := nextval(':schema.guard_fence');
  if decision = 'done' then
    insert into :schema.external_effect_outcome (slot, key, state, outcome, fence, fingerprint)
    values (:schema.effect_slot(), of_key, 'done', new_outcome, own_fence, print);
  else
    insert into :schema.external_effect (slot, key, fence, lease_until, fingerprint, not_done)
    values (:schema.effect_slot(), of_key, own_fence, clock_timestamp(), print, true);
  end if;
  perform :schema.audit_own(decide_effect.stated_by, 'effect.' || decision, 'effect', of_key, why,
    jsonb_build_object('before', before));
  return before;
end
$$;

-- Empties a slot of the external effects if all its rows are older than the retention; effects that were attempted and
-- are not decided are carried forward. The slot in which the retention ends is skipped.
create function :schema.effect_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  effect_name text := 'external_effect_s' || slot_number;
  outcome_name text := 'external_effect_outcome_s' || slot_number;
  oldest timestamptz := clock_timestamp() - retention_ms * interval '1 millisecond';
  look text := format(
    'select exists (select from :schema.%1$I) or exists (select from :schema.%2$I),
            exists (select from :schema.%1$I e where e.attempted_at > $1)
              or exists (select from :schema.%2$I o where o.decided_at > $1)', effect_name, outcome_name);
  needed boolean;
  filled boolean;
begin
  if not :schema.acl_open() then
    return false;
  end if;
  if slot_number = :schema.effect_slot()
     or slot_number = floor(extract(epoch from oldest) / 691200)::bigint % 16 then
    return false;
  end if;
  execute look into filled, needed using oldest;
  if needed or not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I, only :schema.%I in access exclusive mode', effect_name, outcome_name);
  execute look into filled, needed using oldest;
  if needed then
    return false;
  end if;
  insert into :schema.external_effect (slot, key, fence, lease_until, attempted_at, fingerprint, not_done)
  select :schema.effect_slot(), e.key, e.fence, e.lease_until, e.attempted_at, e.fingerprint, e.not_done
    from :schema.external_effect e
   where e.slot = slot_number
     and not exists (select from :schema.effect_known(e.key, 'done'))
     and not exists (select from :schema.external_effect n where n.key = e.key and n.fence > e.fence);
  execute format('truncate only :schema.%I, only :schema.%I', effect_name, outcome_name);
  return true;
end
$$;
`,
};
