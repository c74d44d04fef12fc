// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const busMigration0005: Migration = {
  number: 5,
  name: '0005-sources',
  breaking: false,
  checksum: 'ff68e59f6f9b3f44a504a04e0e1e95cc3a590f2171a0e4adc8a7de803394b237',
  sql: `-- Hand-over: which passes of which services' outboxes this log holds, and which history of the log this is. A pass is
-- known by its number and its random token.

-- One row.
create table :schema.bus (
  single boolean primary key default true check (single),
  id     uuid not null default gen_random_uuid()
);

insert into :schema.bus (single) values (true);

-- The epoch of the log rises when it has lost a tail: by a restore, or a failover to a replica that was behind. cut: where
-- each partition ended then; what is at and above it is not what readers of an older epoch have read there.
create table :schema.log_epoch (
  epoch     bigint primary key,
  raised_at timestamptz not null default clock_timestamp(),
  raised_by text not null default session_user
);

create table :schema.log_cut (
  epoch        bigint not null references :schema.log_epoch (epoch),
  partition_id integer not null references :schema.topic_partition (id),
  cut          bigint not null,
  primary key (epoch, partition_id)
);

insert into :schema.log_epoch (epoch) values (1);

-- login: the restricted login that appends for the source, of short-lived ones the role that they are members of; null
-- while only unrestricted ones do.
create table :schema.source (
  id         integer generated always as identity primary key,
  service_id uuid not null unique,
  login      text,
  created_at timestamptz not null default clock_timestamp()
);

-- A ring of days. The newest row of each source is carried forward, so a source that was silent for long still has its
-- number.
create table :schema.log_source (
  slot          smallint not null
                default (floor(extract(epoch from clock_timestamp()) / 86400)::bigint % 8)::smallint,
  source_id     integer not null,
  n             bigint not null,
  token         uuid not null,
  partition_ids integer[] not null,
  base_offsets  bigint[] not null,
  last_offsets  bigint[] not null,
  appended_at   timestamptz not null default clock_timestamp()
) partition by list (slot);

-- The second line of defence: a number stands once.
create unique index log_source_n on :schema.log_source (source_id, n, slot);

do $$
begin
  for slot in 0..7 loop
    execute format('create table :schema.%I partition of :schema.log_source for values in (%s)
                      with (autovacuum_enabled = off)', 'log_source_s' || slot, slot);
  end loop;
end
$$;

-- The newest pass of a source that the log holds; n = 0 and no token for one that it does not know.
create function :schema.source_newest(of_service uuid, out source_id integer, out source_login text, out n bigint,
                                      out token uuid)
language plpgsql stable set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
begin
  select s.id, s.login into source_id, source_login from :schema.source s where s.service_id = of_service;
  select l.n, l.token into source_newest.n, source_newest.token from :schema.log_source l
   where l.source_id = source_newest.source_id order by l.n desc limit 1;
  n := coalesce(n, 0);
end
$$;

-- Raises when the session is restricted and the source is another restricted login's. One that is no longer restricted, or
-- no longer exists, has no source.
create function :schema.source_assert_own(of_service uuid) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    perform from :schema.source s
       join :schema.acl_login a on a.login = s.login
       join pg_roles r on r.rolname = a.login
      where s.service_id = of_service and not pg_has_role(session_user, r.oid, 'member');
    if found then
      raise exception using errcode = 'WB040', detail = of_service::text, message = format(
        'login %s may not append for service %s, for which another restricted login does', session_user, of_service);
    end if;
  end if;
end
$$;

-- What a relay asks after any doubt: the bus's id, the log's epoch, and the newest pass of its source.
create function :schema.source_ask(of_service uuid, out bus_id uuid, out log_epoch bigint, out n bigint, out token uuid)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
begin
  perform :schema.source_assert_own(of_service);
  select b.id into bus_id from :schema.bus b;
  select max(e.epoch) into log_epoch from :schema.log_epoch e;
  newest := :schema.source_newest(of_service);
  n := newest.n;
  token := newest.token;
end
$$;

-- The passes of a source from a number on, as far as the log remembers them, with where their records are.
create function :schema.source_passes(of_service uuid, from_n bigint)
returns table (n bigint, token uuid, partition_ids integer[], base_offsets bigint[], last_offsets bigint[])
language sql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
  select l.n, l.token, l.partition_ids, l.base_offsets, l.last_offsets
    from :schema.log_source l join :schema.source s on s.id = l.source_id
   where s.service_id = of_service and l.n >= from_n
   order by l.n
$$;

-- The bus's id and the log's epoch.
create function :schema.bus_identity(out bus_id uuid, out log_epoch bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  select b.id into bus_id from :schema.bus b;
  select max(e.epoch) into log_epoch from :schema.log_epoch e;
end
$$;

-- The source's id. Raises unless the session may append for it: of several restricted logins, the one that appended for it
-- first. The caller holds the source's lock.
create function :schema.source_bind(of_service uuid) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  known_id integer;
  restricted_as text;
begin
  perform :schema.source_assert_own(of_service);
  select s.id into known_id from :schema.source s where s.service_id = of_service;
  if known_id is null then
    insert into :schema.source (service_id) values (of_service) returning id into known_id;
  end if;
  if not :schema.acl_open() then
    select a.login into restricted_as from :schema.acl_login a join pg_roles r on r.rolname = a.login
     where pg_has_role(session_user, r.oid, 'member') order by a.login <> session_user::text, a.login limit 1;
    -- Only when it changes owner: no row is updated per pass.
    update :schema.source s set login = restricted_as
     where s.id = known_id
       and not exists (select from :schema.acl_login a join pg_roles r on r.rolname = a.login where a.login = s.login);
  end if;
  return known_id;
end
$$;

-- Appends one pass of a source's outbox: all of its batches or none, once. Order by lock, then look: the locks of the source
-- and, shared, of the structure are taken first, and the log's epoch and what it holds of the source are read in later
-- statements. A pass that the log holds already is not appended again: its offsets are returned, with already. Everything else
-- that does not follow directly on what the log holds raises: WB050 another pass has this number or comes before it, WB051
-- passes are missing, WB052 the pass is too old to tell, WB053 the log is in another epoch. The keys of subjects are those that
-- its records were encrypted with.
create function :schema.log_hand_over(
  of_service uuid, in_epoch bigint, pass_n bigint, pass_token uuid, token_before uuid,
  partition_ids integer[], record_counts integer[], byte_lengths integer[], max_timestamps bigint[], all_data bytea,
  subject_hashes bytea[] default '{}', key_ids uuid[] default '{}', wrapped_keys bytea[] default '{}')
returns table (appended_partition integer, appended_offset bigint, already boolean)
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
  known record;
  epoch_now bigint;
  of_source integer;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      'a hand-over needs a transaction at read committed, and this one is at %s', current_setting('transaction_isolation'));
  end if;
  perform pg_advisory_xact_lock(hashtext(':schema.source'), hashtext(of_service::text));
  -- A heal is waited for before the epoch is read, not only by the append.
  perform pg_advisory_xact_lock_shared(hashtext(':schema.structure'), 0);
  newest := :schema.source_newest(of_service);
  select max(e.epoch) into epoch_now from :schema.log_epoch e;
  if epoch_now <> in_epoch then
    raise exception using errcode = 'WB053', detail = epoch_now::text, message = format(
      'the log is in epoch %s, and pass %s of service %s was sent for epoch %s', epoch_now, pass_n, of_service, in_epoch);
  end if;
  of_source := :schema.source_bind(of_service);
  if newest.n >= pass_n then
    select l.token, l.partition_ids, l.base_offsets into known from :schema.log_source l
     where l.source_id = of_source and l.n = pass_n;
    if known.token is null then
      raise exception using errcode = 'WB052', message = format(
        'pass %s of service %s is older than all that the log remembers: it holds up to pass %s', pass_n, of_service, newest.n);
    elsif known.token <> pass_token then
      raise exception using errcode = 'WB050', detail = pass_n::text, message = format(
        'the log holds another pass %s of service %s: its database was restored, has lost a tail, or is a copy', pass_n, of_service);
    end if;
    return query select k.id, k.base, true from unnest(known.partition_ids, known.base_offsets) as k (id, base);
    return;
  end if;
  if newest.n <> pass_n - 1 then
    raise exception using errcode = 'WB051', detail = newest.n::text, message = format(
      'the log holds passes of service %s up to %s, and pass %s came', of_service, newest.n, pass_n);
  end if;
  if newest.token is distinct from token_before and newest.n > 0 then
    raise exception using errcode = 'WB050', detail = newest.n::text, message = format(
      'the log holds another pass %s of service %s: its database was restored, has lost a tail, or is a copy', newest.n, of_service);
  end if;
  if cardinality(key_ids) > 0 then
    perform :schema.keep_subject_keys(subject_hashes, key_ids, wrapped_keys);
  end if;
  insert into :schema.log_source (source_id, n, token, partition_ids, base_offsets, last_offsets)
  select of_source, pass_n, pass_token, coalesce(array_agg(a.id order by a.place), '{}'),
         coalesce(array_agg(a.base order by a.place), '{}'), coalesce(array_agg(a.base + a.records - 1 order by a.place), '{}')
    from (select x.appended_partition as id, x.appended_offset as base, x.place, record_counts[x.place] as records
            from :schema.log_append(partition_ids, record_counts, byte_lengths, max_timestamps,
                                    array_fill(-1, array[cardinality(partition_ids)]), all_data, -1, 'on')
                   with ordinality as x (appended_partition, appended_offset, place)) a;
  select l.partition_ids, l.base_offsets into known from :schema.log_source l
   where l.source_id = of_source and l.n = pass_n;
  return query select k.id, k.base, false from unnest(known.partition_ids, known.base_offsets) as k (id, base);
end
$$;

-- Empties a slot of the ring of passes that is not of the last six days, after carrying forward the newest pass of each
-- source, which is looked for behind the lock. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.log_source_recycle() returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  today bigint := floor(extract(epoch from clock_timestamp()) / 86400)::bigint;
  old_slot smallint := ((today + 1) % 8)::smallint;
  filled boolean;
begin
  select exists (select from :schema.log_source l where l.slot = old_slot) into filled;
  if not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', 'log_source_s' || old_slot);
  insert into :schema.log_source (slot, source_id, n, token, partition_ids, base_offsets, last_offsets, appended_at)
  select (today % 8)::smallint, l.source_id, l.n, l.token, l.partition_ids, l.base_offsets, l.last_offsets, l.appended_at
    from (select distinct on (x.source_id) x.* from :schema.log_source x where x.slot = old_slot
           order by x.source_id, x.n desc) l
   where not exists (select from :schema.log_source y where y.source_id = l.source_id and y.n > l.n);
  execute format('truncate only :schema.%I', 'log_source_s' || old_slot);
  return true;
end
$$;

-- Creates topics again that a log lacks which was restored to an earlier state, under their ids, as a service remembers them;
-- topics that exist are left unchanged. Of their partitions everything was lost. Partitions are in order of topics and
-- numbers. Topics that a restricted login may not use are left out. Raises WB054 if an id has been given to something else since.
create function :schema.topic_restore(topic_ids integer[], names text[], partition_counts integer[], retentions bigint[],
                                      dead_letters text[], expired text[], backlog_messages bigint[], backlog_bytes bigint[],
                                      partition_ids integer[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  other record;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.topics'), 0);
  insert into :schema.topic (id, name, partition_count, retention_ms, on_dead_letter, on_expired, backlog_max_messages,
                             backlog_max_bytes) overriding system value
  select l.*
    from unnest(topic_ids, names, partition_counts, retentions, dead_letters, expired, backlog_messages, backlog_bytes)
      as l (id, name, partitions, retention, dead, expired, messages, bytes)
   where :schema.acl_knows_topic(l.name)
  on conflict do nothing;
  with place as (
    select p.id, o.topic_id, o.name, (p.place - o.before - 1)::integer as number
      from unnest(partition_ids) with ordinality as p (id, place)
      join (select l.id as topic_id, l.name, l.partitions,
                   sum(l.partitions) over (order by l.place) - l.partitions as before
              from unnest(topic_ids, names, partition_counts) with ordinality as l (id, name, partitions, place)) o
        on p.place > o.before and p.place <= o.before + o.partitions
  ), made as (
    insert into :schema.topic_partition (id, topic_id, number) overriding system value
    select p.id, p.topic_id, p.number
      from place p join :schema.topic t on t.id = p.topic_id and t.name = p.name and p.number < t.partition_count
     where :schema.acl_knows_topic(t.name)
    on conflict do nothing
    returning id
  )
  insert into :schema.log_cut (epoch, partition_id, cut)
  select (select max(e.epoch) from :schema.log_epoch e), m.id, 0 from made m;
  select l.name into other
    from unnest(topic_ids, names, partition_counts) as l (id, name, partitions)
   where :schema.acl_knows_topic(l.name)
     and (select count(*) from :schema.topic t
            join :schema.topic_partition p on p.topic_id = t.id and p.id = any (partition_ids)
           where t.id = l.id and t.name = l.name) <> l.partitions
   limit 1;
  if found then
    raise exception using errcode = 'WB054', detail = other.name, message = format(
      'topic %s cannot be created again: the log has given its id, or that of a partition, to another one', other.name);
  end if;
  -- The numbers after them are the next to be given; another session may be giving some now.
  perform setval(s.name, greatest(s.highest, coalesce(pg_sequence_last_value(s.name), 1)))
     from (select pg_get_serial_sequence(':schema.topic', 'id')::regclass, (select max(t.id) from :schema.topic t)
           union all
           select pg_get_serial_sequence(':schema.topic_partition', 'id')::regclass,
                  (select max(p.id) from :schema.topic_partition p)) as s (name, highest);
end
$$;

-- For an operator, before any service appends again to a log that has lost a tail: raises the epoch, and stores where each
-- partition ends. Appends wait for it, and those of the older epoch are refused. Returns the new epoch.
create function :schema.log_raise_epoch() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  raised bigint;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.structure'), 0);
  perform set_config('synchronous_commit', 'on', true);
  insert into :schema.log_epoch (epoch) select max(e.epoch) + 1 from :schema.log_epoch e returning epoch into raised;
  insert into :schema.log_cut (epoch, partition_id, cut)
  select raised, p.id, :schema.log_next_offset(p.id) from :schema.topic_partition p;
  return raised;
end
$$;
`,
};
