// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0009: Migration = {
  number: 9,
  name: '0009-external-effects',
  breaking: false,
  checksum: '9741a18457a4901061f314812f434d78d3adccec17273f70949c0f3659b2eefe',
  sql: `-- What is done with external effects; their tables are those of 0008.

-- The slot of the external effects that are written now.
create function :schema.effect_slot() returns smallint
language sql volatile
return (floor(extract(epoch from clock_timestamp()) / 691200)::bigint % 16)::smallint;

-- Begins with an external effect, or with taking it back. state: attempt (call now, under fence); ask (somebody has
-- attempted it and has not said how it ended: ask about it now, under fence); in-progress (somebody is at it, for at most
-- retry_ms more); done, refused, tombstone. Taking back what nobody has attempted leaves a tombstone. Of a done behind a
-- tombstone, those who take it back see the done, and others the tombstone.
create function :schema.effect_begin(of_key text, lease_ms bigint, undoing boolean)
returns table (state text, fence bigint, retry_ms bigint, outcome text)
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz;
  known record;
  last record;
  own_fence bigint;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  now_at := clock_timestamp();
  select o.state, o.outcome into known from :schema.external_effect_outcome o where o.key = of_key
   order by (o.state = case when undoing then 'done' else 'tombstone' end) desc limit 1;
  if found then
    return query select known.state, null::bigint, null::bigint, known.outcome;
    return;
  end if;
  select e.lease_until into last from :schema.external_effect e where e.key = of_key order by e.fence desc limit 1;
  if found and last.lease_until > now_at then
    return query select 'in-progress', null::bigint,
      ceil(extract(epoch from last.lease_until - now_at) * 1000)::bigint, null::text;
    return;
  end if;
  if undoing and not found then
    insert into :schema.external_effect_outcome (slot, key, state) values (:schema.effect_slot(), of_key, 'tombstone');
    return query select 'tombstone', null::bigint, null::bigint, null::text;
    return;
  end if;
  own_fence := nextval(':schema.guard_fence');
  insert into :schema.external_effect (slot, key, fence, lease_until)
  values (:schema.effect_slot(), of_key, own_fence, now_at + lease_ms * interval '1 millisecond');
  return query select case when last is null then 'attempt' else 'ask' end, own_fence, null::bigint, null::text;
end
$$;

-- Goes on under a new fence and lease; null when somebody else has begun since, or it is decided. With a lease of 0 it
-- lets others begin.
create function :schema.effect_go_on(of_key text, by_fence bigint, lease_ms bigint) returns bigint
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  own_fence bigint;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  perform from :schema.external_effect_outcome o where o.key = of_key limit 1;
  if found or by_fence <> (select max(e.fence) from :schema.external_effect e where e.key = of_key) then
    return null;
  end if;
  own_fence := nextval(':schema.guard_fence');
  insert into :schema.external_effect (slot, key, fence, lease_until)
  values (:schema.effect_slot(), of_key, own_fence, clock_timestamp() + lease_ms * interval '1 millisecond');
  return own_fence;
end
$$;

-- Keeps what is known of an external effect, and says what counts: that, what was known before, or fenced. That it is
-- done is kept under any fence, and behind a tombstone too: it is a fact. The others are decisions, and the latest fence's.
create function :schema.effect_settle(of_key text, by_fence bigint, new_state text, new_outcome text)
returns table (state text, outcome text)
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  known record;
begin
  perform :schema.commit_to_disk();
  perform :schema.guard_lock('effect ' || of_key);
  select o.state, o.outcome into known from :schema.external_effect_outcome o where o.key = of_key
   order by (o.state = 'tombstone') desc limit 1;
  if found then
    if new_state = 'done' then
      insert into :schema.external_effect_outcome (slot, key, state, outcome)
      select :schema.effect_slot(), of_key, new_state, new_outcome
       where not exists (select from :schema.external_effect_outcome o where o.key = of_key and o.state = 'done');
    end if;
    return query select known.state, known.outcome;
    return;
  end if;
  if new_state <> 'done'
     and by_fence <> (select max(e.fence) from :schema.external_effect e where e.key = of_key) then
    return query select 'fenced', null::text;
    return;
  end if;
  insert into :schema.external_effect_outcome (slot, key, state, outcome)
  values (:schema.effect_slot(), of_key, new_state, new_outcome);
  return query select new_state, new_outcome;
end
$$;

-- Empties a slot of the external effects when all in it is older than the retention; what was attempted and is not
-- decided is carried forward. The slot in which the retention ends is left alone.
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
  insert into :schema.external_effect (slot, key, fence, lease_until, attempted_at)
  select :schema.effect_slot(), e.key, e.fence, e.lease_until, e.attempted_at
    from :schema.external_effect e
   where e.slot = slot_number
     and not exists (select from :schema.external_effect_outcome o where o.key = e.key)
     and not exists (select from :schema.external_effect n where n.key = e.key and n.fence > e.fence);
  execute format('truncate only :schema.%I, only :schema.%I', effect_name, outcome_name);
  return true;
end
$$;
`,
};
