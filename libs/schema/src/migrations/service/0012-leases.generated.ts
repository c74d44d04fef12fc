// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0012: Migration = {
  number: 12,
  name: '0012-leases',
  breaking: false,
  checksum: '0e0f54a11c00f2f9d8a8fa8403e4df369caede1551edfaa6d13850276135682b',
  sql: `-- Guards for work outside transactions (leases and their outcomes), and the tables of external effects. All rows except
-- leases are written once and removed with their slot; leases are few at any time, and are deleted when their work
-- ends.

-- Work in progress outside transactions. A row is written by a claim, again when its lease must be extended
-- (work that takes long) or has ended (a crash), and is removed when the work ends.
create table :schema.guard_lease (
  name        text primary key,
  fence       bigint not null,
  fingerprint text,
  lease_until timestamptz not null
) with (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Of leases and of external effects.
create sequence :schema.guard_fence;

-- With these keys a service recognises its own marks in Redis. Only the service may read them.
create table :schema.guard_mac_key (
  id         bigint generated always as identity primary key,
  service    text not null,
  secret     bytea not null check (length(secret) >= 32),
  created_at timestamptz not null default clock_timestamp()
);

create index guard_mac_key_service on :schema.guard_mac_key (service, id);

-- Completed work, in the slot of its expiry time: 16 slots of 4 days.
create table :schema.guard_outcome (
  slot        smallint not null,
  name        text not null,
  fence       bigint not null,
  fingerprint text,
  result      text,
  expires_at  timestamptz not null
) partition by list (slot);

create index guard_outcome_name on :schema.guard_outcome (name);

-- Each row is an interval in which one process attempts an external effect, or queries it: until
-- lease_until no other process does. Written and on disk before that begins. 16 slots of 8 days. fingerprint: of the
-- request. not_done: an operator knows that it has not happened.
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

-- Final outcomes. tombstone: it has not happened and must not. A tombstone may be followed by a done, if a
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
  foreach ring in array array['guard_outcome', 'external_effect', 'external_effect_outcome']
  loop
    for slot in 0..15 loop
      execute format('create table :schema.%I partition of :schema.%I for values in (%s)
                        with (autovacuum_enabled = off)', ring || '_s' || slot, ring, slot);
    end loop;
  end loop;
end
$$;

-- Serialises the callers of one name; other decisions are read after it, in a later statement, for which
-- the transaction must be READ COMMITTED (WB009). Callers hold it for their one statement only.
create function :schema.guard_lock(of_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      'the isolation level is %s, in which a guard cannot see what other transactions have committed', current_setting('transaction_isolation'));
  end if;
  perform pg_advisory_xact_lock(hashtextextended(':schema.guard ' || of_name, 0));
end
$$;

-- Claims a name. state: claimed; in-progress (another process's lease lasts retry_ms more); done.
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

-- Marks a name as done, if no other process has claimed it since.
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

-- Empties a slot of completed work if all of it has expired. The current slot is skipped.
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

-- Extends a lease; false if it is not held under the fence.
create function :schema.lease_renew(of_name text, by_fence bigint, lease_ms bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_guard(of_name);
  update :schema.guard_lease l set lease_until = clock_timestamp() + lease_ms * interval '1 millisecond'
   where l.name = of_name and l.fence = by_fence;
  return found;
end
$$;

-- Releases a lease that is held under the fence.
create function :schema.lease_release(of_name text, by_fence bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_guard(of_name);
  delete from :schema.guard_lease l where l.name = of_name and l.fence = by_fence;
end
$$;

-- Removes leases that ended a day ago.
create function :schema.lease_forget(most integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  delete from :schema.guard_lease l
   where l.name in (select e.name from :schema.guard_lease e
                     where e.lease_until < clock_timestamp() - interval '1 day'
                     limit most for update skip locked);
$$;
`,
};
