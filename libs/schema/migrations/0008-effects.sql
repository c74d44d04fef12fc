-- Guards for calls of distributed transactions, for work in no transaction, and for effects outside of any database: the
-- barrier as a ring with results, leases, external effects. All rows but those of a lease are written once and leave with
-- their slot; leases are few at any time, and go when their work ends.

-- The number of a UUIDv7's milliseconds. Other ids give nonsense.
create function :schema.uuid_ms(id uuid) returns bigint
language sql immutable strict
return ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint;

-- The slot of an operation of a barrier: 16 slots of 8 days, by the time when it was begun.
create function :schema.barrier_slot_at(made_ms bigint) returns smallint
language sql immutable strict
return (made_ms / 691200000 % 16)::smallint;

-- One row for what happened first under a name, in the database of the business rows: the operation itself (reason is
-- op; ongoing, or ongoing-effect, until a command that ends later has ended), or what keeps it from happening (reason is what
-- was there first). made_ms: when the operation was begun, where that is more than an hour after the time in its gid.
alter table :schema.barrier rename to barrier_0006;
alter index :schema.barrier_pkey rename to barrier_0006_pkey;

create table :schema.barrier (
  slot       smallint not null,
  gid        uuid not null,
  branch     text not null,
  op         text not null,
  reason     text not null,
  created_at timestamptz not null default clock_timestamp(),
  made_ms    bigint,
  primary key (slot, gid, branch, op)
) partition by list (slot);

create index barrier_made on :schema.barrier (made_ms) where made_ms is not null;

-- What an operation has come to, for its duplicates; written by the same transaction.
create table :schema.barrier_result (
  slot   smallint not null,
  gid    uuid not null,
  branch text not null,
  op     text not null,
  result text not null,
  primary key (slot, gid, branch, op)
) partition by list (slot);

-- Work that is under way outside of transactions. A row is written by a claim, again when its lease has to be extended
-- (work that takes long) or has ended (a crash), and is removed when the work ends.
create table :schema.guard_lease (
  name        text primary key,
  fence       bigint not null,
  fingerprint text,
  lease_until timestamptz not null
) with (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Of leases and of external effects.
create sequence :schema.guard_fence;

-- By these keys a service knows its own marks in Redis again. Nobody but the service may read them.
create table :schema.guard_mac_key (
  id         bigint generated always as identity primary key,
  service    text not null,
  secret     bytea not null check (length(secret) >= 32),
  created_at timestamptz not null default clock_timestamp()
);

create index guard_mac_key_service on :schema.guard_mac_key (service, id);

-- Work that is done, in the slot of the time when that may be forgotten: 16 slots of 4 days.
create table :schema.guard_outcome (
  slot        smallint not null,
  name        text not null,
  fence       bigint not null,
  fingerprint text,
  result      text,
  expires_at  timestamptz not null
) partition by list (slot);

create index guard_outcome_name on :schema.guard_outcome (name);

-- Each row is a time in which one process attempts an effect outside of any database, or asks about it: until
-- lease_until nobody else does. Written and on disk before that begins. 16 slots of 8 days. fingerprint: of what was asked
-- for. not_done: an operator knows that it has not happened.
create table :schema.external_effect (
  slot         smallint not null,
  key          text not null,
  fence        bigint not null,
  lease_until  timestamptz not null,
  attempted_at timestamptz not null default clock_timestamp(),
  fingerprint  text,
  not_done     boolean not null default false
) partition by list (slot);

create index external_effect_key on :schema.external_effect (key, fence);

-- What is known for good. tombstone: it has not happened and must not. A tombstone may be followed by a done, when a
-- call came through after all. A refusal counts until its effect is attempted again, under a later fence than its own.
create table :schema.external_effect_outcome (
  slot       smallint not null,
  key        text not null,
  state      text not null check (state in ('done', 'refused', 'tombstone')),
  outcome    text,
  decided_at timestamptz not null default clock_timestamp(),
  fence      bigint,
  fingerprint text
) partition by list (slot);

create index external_effect_outcome_key on :schema.external_effect_outcome (key);

do $$
declare
  ring text;
begin
  foreach ring in array array['barrier', 'barrier_result', 'guard_outcome', 'external_effect', 'external_effect_outcome']
  loop
    for slot in 0..15 loop
      execute format('create table :schema.%I partition of :schema.%I for values in (%s)
                        with (autovacuum_enabled = off)', ring || '_s' || slot, ring, slot);
    end loop;
  end loop;
end
$$;

-- No other gids than those of version 7 were ever passed; older ones than these are refused from now on.
insert into :schema.barrier (slot, gid, branch, op, reason, created_at)
select :schema.barrier_slot_at(:schema.uuid_ms(b.gid::uuid)), b.gid::uuid, b.branch, b.op, b.reason, b.created_at
  from :schema.barrier_0006 b
 where b.gid ~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
   and :schema.uuid_ms(b.gid::uuid) > extract(epoch from clock_timestamp()) * 1000 - 91 * 86400000::bigint;

drop table :schema.barrier_0006;

-- When an operation was begun: begun_ms after the time in its gid. An error (WB020) for a gid that is no UUIDv7, and for a
-- time that is more than a day ahead.
create function :schema.barrier_made(of_gid text, begun_ms bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made bigint;
begin
  if of_gid !~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s is no UUID of version 7: make it by newId()', left(of_gid, 100));
  end if;
  made := :schema.uuid_ms(of_gid::uuid) + begun_ms;
  if made > floor(extract(epoch from clock_timestamp()) * 1000) + 86400000 then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s was made more than a day ahead of this database''s clock: set the clock of its maker', of_gid);
  end if;
  return made;
end
$$;

-- What a row keeps of the time when its operation was begun: null where the gid tells it to the hour.
create function :schema.barrier_late(of_gid uuid, begun_ms bigint) returns bigint
language sql immutable
return case when begun_ms > 3600000 then :schema.uuid_ms(of_gid) + begun_ms end;

-- The slot of an operation, or an error (WB020) when the barrier cannot know it: barrier_made says so, or it was begun longer
-- ago than the retention. An operation that the ring has forgotten must never be taken as new.
create function :schema.barrier_slot(of_gid text, begun_ms bigint, retention_ms bigint) returns smallint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made bigint := :schema.barrier_made(of_gid, begun_ms);
  age_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000) - made;
begin
  if age_ms > least(retention_ms, 90 * 86400000::bigint) then
    raise exception using errcode = 'WB020', message = format(
      'the operation of gid %s was begun %s hours ago, and the barrier remembers the last %s: whether it has happened is to '
      'be found out by hand', of_gid, age_ms / 3600000, retention_ms / 3600000);
  end if;
  return :schema.barrier_slot_at(made);
end
$$;

create or replace function :schema.barrier_pass(of_gid text, of_branch text, of_op text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 0, 90 * 86400000::bigint);
begin
  perform :schema.commit_to_disk();
  insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, of_op, of_op)
  on conflict do nothing;
  return found;
end
$$;

create or replace function :schema.barrier_tombstone(of_gid text, of_branch text, of_op text, of_reason text, wait_ms integer)
returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 0, 90 * 86400000::bigint);
  first_reason text;
begin
  perform :schema.commit_to_disk();
  perform set_config('lock_timeout', wait_ms::text, true);
  insert into :schema.barrier (slot, gid, branch, op, reason)
  values (in_slot, of_gid::uuid, of_branch, of_op, of_reason)
  on conflict do nothing;
  if not found then
    perform pg_logical_emit_message(true, ':schema', '');
  end if;
  select b.reason into first_reason from :schema.barrier b
   where b.slot = in_slot and b.gid = of_gid::uuid and b.branch = of_branch and b.op = of_op;
  return first_reason;
end
$$;

-- Fails the current transaction, so that it cannot commit the barrier's row without the work.
create function :schema.barrier_abandon() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'WB021', message = 'the work behind a barrier has failed';
end
$$;

-- Orders everybody who is at one name; what others have decided is looked for behind it, in a later statement, for which
-- the transaction must be READ COMMITTED (WB009). Callers hold it for their one statement only.
create function :schema.guard_lock(of_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      'the isolation level is %s, where a guard cannot see what others have committed', current_setting('transaction_isolation'));
  end if;
  perform pg_advisory_xact_lock(hashtextextended(':schema.guard ' || of_name, 0));
end
$$;

-- Claims a name. state: claimed; in-progress (another's lease lasts retry_ms more); done.
create function :schema.lease_claim(of_name text, of_fingerprint text, lease_ms bigint)
returns table (state text, fence bigint, retry_ms bigint, result text, fingerprint text)
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz;
  done record;
  held record;
  own_fence bigint;
begin
  perform :schema.acl_assert_guard(of_name);
  perform :schema.commit_to_disk();
  perform :schema.guard_lock(of_name);
  now_at := clock_timestamp();
  select o.result, o.fingerprint into done from :schema.guard_outcome o
   where o.name = of_name and o.expires_at > now_at limit 1;
  if found then
    return query select 'done', null::bigint, null::bigint, done.result, done.fingerprint;
    return;
  end if;
  select l.lease_until into held from :schema.guard_lease l where l.name = of_name;
  if found and held.lease_until > now_at then
    return query select 'in-progress', null::bigint,
      ceil(extract(epoch from held.lease_until - now_at) * 1000)::bigint, null::text, null::text;
    return;
  end if;
  own_fence := nextval(':schema.guard_fence');
  insert into :schema.guard_lease as l (name, fence, fingerprint, lease_until)
  values (of_name, own_fence, of_fingerprint, now_at + lease_ms * interval '1 millisecond')
  on conflict (name) do update
     set fence = excluded.fence, fingerprint = excluded.fingerprint, lease_until = excluded.lease_until;
  return query select 'claimed', own_fence, null::bigint, null::text, null::text;
end
$$;

-- Marks a name as done, when nobody has claimed it since.
create function :schema.lease_finish(of_name text, by_fence bigint, of_result text, window_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '5s' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  done_fence bigint;
  of_fingerprint text;
  forget_at timestamptz := clock_timestamp() + window_ms * interval '1 millisecond';
begin
  perform :schema.acl_assert_guard(of_name);
  perform :schema.commit_to_disk();
  perform :schema.guard_lock(of_name);
  select o.fence into done_fence from :schema.guard_outcome o
   where o.name = of_name and o.expires_at > clock_timestamp() limit 1;
  if found then
    return done_fence = by_fence;
  end if;
  delete from :schema.guard_lease l where l.name = of_name and l.fence = by_fence
  returning l.fingerprint into of_fingerprint;
  if not found then
    return false;
  end if;
  insert into :schema.guard_outcome (slot, name, fence, fingerprint, result, expires_at)
  values ((floor(extract(epoch from forget_at) / 345600)::bigint % 16)::smallint,
          of_name, by_fence, of_fingerprint, of_result, forget_at);
  return true;
end
$$;

-- Empties a slot of what is done, when all of it may be forgotten. The slot whose time is running is left alone.
create function :schema.guard_empty_slot(slot_number integer) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  slot_name text := 'guard_outcome_s' || slot_number;
  needed boolean;
  filled boolean;
begin
  if slot_number = floor(extract(epoch from clock_timestamp()) / 345600)::bigint % 16 then
    return false;
  end if;
  execute format('select exists (select from :schema.%I), exists (select from :schema.%1$I o where o.expires_at > clock_timestamp())',
                 slot_name) into filled, needed;
  if needed or not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute format('select exists (select from :schema.%I o where o.expires_at > clock_timestamp())', slot_name) into needed;
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;
