// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0003: Migration = {
  number: 3,
  name: '0003-consumer',
  breaking: false,
  checksum: 'ab61c1214279e008b368fafa6b17ff04cf5a73026f89e3a0d4c8d194839f5890',
  sql: `-- Consumer groups and their state: members, owners of partitions, positions, marks, charges for
-- crashes, parked messages, dead letters, and the inbox for handlers that write to a different database than the log's.

create table :schema.consumer_group (
  id         integer generated always as identity primary key,
  name       text not null unique check (length(name) between 1 and 249),
  generation bigint not null default 0,
  created_at timestamptz not null default clock_timestamp()
);

create table :schema.group_member (
  group_id    integer not null references :schema.consumer_group (id),
  member_id   uuid not null,
  topics      text[] not null,
  lease_until timestamptz not null,
  joined_at   timestamptz not null default clock_timestamp(),
  primary key (group_id, member_id)
);

-- One row per (group, partition), changed only when the partition changes hands (or is about to): the fence.
create table :schema.partition_owner (
  group_id     integer not null references :schema.consumer_group (id),
  partition_id integer not null references :schema.topic_partition (id),
  owner_id     uuid,
  owner_epoch  bigint not null default 0,
  target_id    uuid,
  primary key (group_id, partition_id)
);

create sequence :schema.position_id as bigint;

-- Every offset below position is done. Records from position up to in_flight_end may have been begun. The newest is the
-- one of the highest owner epoch and, in it, the highest position: a statement of an owner may be executed late.
create table :schema.consumer_position (
  slot          smallint not null
                default (floor(extract(epoch from clock_timestamp()) / 3600)::bigint % 4)::smallint,
  id            bigint not null default nextval(':schema.position_id'),
  group_id      integer not null,
  partition_id  integer not null,
  owner_epoch   bigint not null default 0,
  position      bigint not null,
  in_flight_end bigint not null,
  stored_at     timestamptz not null default clock_timestamp()
) partition by list (slot);

create index consumer_position_newest
  on :schema.consumer_position (group_id, partition_id, owner_epoch, position, id);

-- A verdict on one record at or above the position: 1 done, 2 dead, 3 parked, 4 expired, 5 dropped.
create table :schema.delivery_mark (
  slot         smallint not null
               default (floor(extract(epoch from clock_timestamp()) / 3600)::bigint % 4)::smallint,
  group_id     integer not null,
  partition_id integer not null,
  log_offset   bigint not null,
  verdict      smallint not null
) partition by list (slot);

create index delivery_mark_offset on :schema.delivery_mark (group_id, partition_id, log_offset);

do $$
begin
  for slot in 0..3 loop
    execute format('create table :schema.%I partition of :schema.consumer_position for values in (%s)
                      with (autovacuum_enabled = off)', 'consumer_position_s' || slot, slot);
    execute format('create table :schema.%I partition of :schema.delivery_mark for values in (%s)
                      with (autovacuum_enabled = off)', 'delivery_mark_s' || slot, slot);
  end loop;
end
$$;

-- One row for each time a record was begun alone after a crash; see docs/ARCHITECTURE.md, "Crashes".
create table :schema.crash_charge (
  group_id     integer not null,
  partition_id integer not null,
  log_offset   bigint not null,
  charged_at   timestamptz not null default clock_timestamp()
);

create index crash_charge_offset on :schema.crash_charge (group_id, partition_id, log_offset);

-- Parked messages, in order of their offsets within a key: the first of a key is due for its next
-- attempt at due_at ('infinity': an operator decides about its dead letter; null: as soon as it is the first), those
-- after it wait for it. Written only by the partition's owner, and by operators for messages of dead letters.
create table :schema.parked_message (
  group_id         integer not null references :schema.consumer_group (id),
  partition_id     integer not null references :schema.topic_partition (id),
  log_offset       bigint not null,
  bucket_seq       bigint not null,
  message_id       text,
  key              text,
  headers          jsonb not null,
  payload          bytea,
  timestamp_ms     bigint not null,
  attempts         integer not null default 0,
  due_at           timestamptz,
  first_failed_at  timestamptz,
  in_flight        boolean not null default false,
  crashes          integer not null default 0,
  from_dead_letter boolean not null default false,
  parked_at        timestamptz not null default clock_timestamp(),
  primary key (group_id, partition_id, log_offset)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index parked_message_from_dead_letter on :schema.parked_message (group_id, partition_id)
  where from_dead_letter;

-- open: not decided. redriving: it waits in parked_message for its handler, or is being handled. The others are final.
-- headers is an array of [name, value] in the record's order, a value that is not text as {"base64": ...}.
create table :schema.dead_letter (
  id               bigint generated always as identity primary key,
  group_id         integer not null references :schema.consumer_group (id),
  partition_id     integer not null references :schema.topic_partition (id),
  log_offset       bigint not null,
  bucket_seq       bigint not null,
  topic            text not null,
  partition_number integer not null,
  handler          text not null,
  message_id       text,
  key              text,
  headers          jsonb not null,
  payload          bytea,
  timestamp_ms     bigint not null,
  reason           text not null,
  error_class      text not null,
  error_code       text,
  error_message    text not null,
  error_stack      text,
  fingerprint      text not null,
  attempts         integer not null,
  first_failed_at  timestamptz not null,
  last_failed_at   timestamptz not null,
  state            text not null default 'open'
                   check (state in ('open', 'redriving', 'redriven', 'replaced', 'discarded')),
  state_since      timestamptz not null default clock_timestamp(),
  redrives         integer not null default 0,
  replaced_by      text,
  created_at       timestamptz not null default clock_timestamp(),
  unique (group_id, partition_id, log_offset)
);

-- For retention, and for the health check's count: neither reads the rest of the table.
create index dead_letter_closed on :schema.dead_letter (state_since)
  where state in ('redriven', 'replaced', 'discarded');
create index dead_letter_open on :schema.dead_letter (group_id, topic) where state = 'open';
create index dead_letter_fingerprint on :schema.dead_letter (fingerprint, id);

-- Retries that a group may still make in the whole cluster: a token bucket from which processes draw portions.
create table :schema.retry_budget (
  group_id  integer primary key references :schema.consumer_group (id),
  tokens    double precision not null,
  filled_at timestamptz not null default clock_timestamp()
);

-- The inbox is in the database that the handler writes to, so it names the log's entries in full.
create table :schema.inbox (
  slot             smallint not null,
  bucket_seq       bigint not null,
  consumer         text not null,
  log_identity     text not null,
  topic            text not null,
  partition_number integer not null,
  log_offset       bigint not null,
  received_at      timestamptz not null default clock_timestamp()
) partition by list (slot);

create unique index inbox_entry
  on :schema.inbox (consumer, log_identity, topic, partition_number, log_offset, slot);

do $$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.inbox for values in (%s)
                      with (autovacuum_enabled = off)', 'inbox_s' || slot, slot);
  end loop;
end
$$;

-- Raises unless the member owns the partition in this epoch and its lease is valid. The share lock keeps the
-- partition from changing hands until the transaction ends. The last statement before COMMIT; it evaluates no policy.
create function :schema.fence(of_group integer, of_partition integer, by_member uuid, in_epoch bigint)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.partition_owner o
    join :schema.group_member m on m.group_id = o.group_id and m.member_id = o.owner_id
   where o.group_id = of_group and o.partition_id = of_partition
     and o.owner_id = by_member and o.owner_epoch = in_epoch
     and m.lease_until > clock_timestamp()
     for share of o;
  if not found then
    raise exception using errcode = 'WB003',
      message = format('member %s is no longer the owner of partition %s (epoch %s)',
                       by_member, of_partition, in_epoch);
  end if;
end
$$;

-- Stores a position under the fence.
create function :schema.advance(of_group integer, of_partition integer, by_member uuid, in_epoch bigint,
                                new_position bigint, new_in_flight_end bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :schema.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end)
  values (of_group, of_partition, in_epoch, new_position, new_in_flight_end);
  perform :schema.fence(of_group, of_partition, by_member, in_epoch);
end
$$;

-- Like group_release, for several partitions; returns the released ones. One whose owner's row a delivery holds
-- is left unchanged: a batch waits only for the group's lock.
create function :schema.group_release_all(of_group integer, partition_ids integer[], by_member uuid)
returns setof integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.consumer_group g where g.id = of_group for update;
  return query
  with free as (
    select c.partition_id from :schema.partition_owner c
     where c.group_id = of_group and c.partition_id = any (partition_ids) and c.owner_id = by_member
     order by c.partition_id
       for update skip locked
  )
  update :schema.partition_owner o
     set owner_id = o.target_id, owner_epoch = o.owner_epoch + 1, target_id = null
    from free f
   where o.group_id = of_group and o.partition_id = f.partition_id
  returning o.partition_id;
end
$$;

-- Stores where a group begins in partitions, with nothing in flight, under the fence of each. If another member owns
-- one, or its owner's row is locked, all of it fails: a batch never waits.
create function :schema.advance_all(of_group integer, partition_ids integer[], by_member uuid, in_epochs bigint[],
                                    new_positions bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  held bigint;
begin
  insert into :schema.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end)
  select of_group, w.id, w.epoch, w.position, w.position
    from unnest(partition_ids, in_epochs, new_positions) as w (id, epoch, position);

  perform from unnest(partition_ids, in_epochs) as w (id, epoch)
    join :schema.partition_owner o
      on o.group_id = of_group and o.partition_id = w.id and o.owner_id = by_member and o.owner_epoch = w.epoch
    join :schema.group_member m on m.group_id = o.group_id and m.member_id = o.owner_id
   where m.lease_until > clock_timestamp()
     for share of o nowait;
  get diagnostics held = row_count;
  if held <> cardinality(partition_ids) then
    raise exception using errcode = 'WB003',
      message = format('member %s is no longer the owner of each of %s partitions', by_member,
                       cardinality(partition_ids));
  end if;
end
$$;

-- Extends the member's lease; joins the group if it is not (or no longer) in it.
create function :schema.group_heartbeat(of_group integer, by_member uuid, on_topics text[], lease_ms integer)
returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.group_member as m (group_id, member_id, topics, lease_until)
  values (of_group, by_member, on_topics, clock_timestamp() + lease_ms * interval '1 millisecond')
  on conflict (group_id, member_id) do update
     set lease_until = excluded.lease_until, topics = excluded.topics;
$$;

-- Assigns partitions to members. The caller holds the group's lock. A partition whose owner is alive is only promised
-- (target_id): it changes hands when the owner releases it, or when its lease has expired.
create function :schema.group_assign(of_group integer, partition_ids integer[], member_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :schema.partition_owner (group_id, partition_id)
  select of_group, p.id from unnest(partition_ids) as p (id) order by p.id
  on conflict do nothing;

  with decided as (
    select c.partition_id, a.member_id,
           not exists (select from :schema.group_member m
                        where m.group_id = of_group and m.member_id = c.owner_id
                          and m.lease_until > clock_timestamp()) as free
      from :schema.partition_owner c
      join unnest(partition_ids, member_ids) as a (partition_id, member_id) using (partition_id)
     where c.group_id = of_group
  )
  update :schema.partition_owner o
     set owner_id    = case when d.free then d.member_id else o.owner_id end,
         owner_epoch = case when d.free then o.owner_epoch + 1 else o.owner_epoch end,
         target_id   = case when d.free or d.member_id = o.owner_id then null else d.member_id end
    from decided d
   where o.group_id = of_group and o.partition_id = d.partition_id
     and (d.free and (o.owner_id is distinct from d.member_id or o.target_id is not null)
          or not d.free and o.target_id is distinct from nullif(d.member_id, o.owner_id));

  update :schema.consumer_group g set generation = g.generation + 1 where g.id = of_group;
end
$$;

-- Releases a partition, in any epoch in which the member owns it: it goes to the member it is promised to, or to none.
create function :schema.group_release(of_group integer, of_partition integer, by_member uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform from :schema.consumer_group g where g.id = of_group for update;
  update :schema.partition_owner o
     set owner_id = o.target_id, owner_epoch = o.owner_epoch + 1, target_id = null
   where o.group_id = of_group and o.partition_id = of_partition and o.owner_id = by_member;
end
$$;

-- Draws up to wanted retries from the group's budget, which refills at per_second up to burst; returns how many.
create function :schema.retry_budget_draw(of_group integer, wanted integer, per_second double precision,
                                          burst integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  bucket record;
  filled double precision;
  granted integer;
begin
  insert into :schema.retry_budget (group_id, tokens) values (of_group, burst) on conflict do nothing;
  select b.tokens, b.filled_at into bucket from :schema.retry_budget b where b.group_id = of_group for update;
  filled := least(burst, bucket.tokens
    + per_second * greatest(0, extract(epoch from clock_timestamp() - bucket.filled_at)::double precision));
  granted := least(wanted, floor(filled)::integer);
  update :schema.retry_budget b set tokens = filled - granted, filled_at = clock_timestamp()
   where b.group_id = of_group;
  return granted;
end
$$;

-- Empties the due slots of positions and marks, after carrying forward the rows that are still needed:
-- the newest position of each (group, partition), and marks at or above it. Carried rows keep their ids, so a
-- newer row stays newer. Fails with 55P03 if a lock is not available within 50 ms.
create function :schema.consumer_recycle(slot_number integer) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  current_slot smallint := (floor(extract(epoch from clock_timestamp()) / 3600)::bigint % 4)::smallint;
begin
  if slot_number = current_slot or slot_number = (current_slot + 3) % 4 then
    return false;
  end if;
  execute format('lock table only :schema.%I, only :schema.%I in access exclusive mode',
                 'consumer_position_s' || slot_number, 'delivery_mark_s' || slot_number);

  insert into :schema.delivery_mark (slot, group_id, partition_id, log_offset, verdict)
  select current_slot, m.group_id, m.partition_id, m.log_offset, m.verdict
    from :schema.delivery_mark m
   where m.slot = slot_number
     and m.log_offset >= coalesce((select p.position from :schema.consumer_position p
                                    where p.group_id = m.group_id and p.partition_id = m.partition_id
                                    order by p.owner_epoch desc, p.position desc, p.id desc limit 1), 0);

  insert into :schema.consumer_position (slot, id, group_id, partition_id, owner_epoch, position, in_flight_end,
                                         stored_at)
  select current_slot, p.id, p.group_id, p.partition_id, p.owner_epoch, p.position, p.in_flight_end, p.stored_at
    from (select distinct on (q.group_id, q.partition_id) q.*
            from :schema.consumer_position q where q.slot = slot_number
           order by q.group_id, q.partition_id, q.owner_epoch desc, q.position desc, q.id desc) p
   where not exists (select from :schema.consumer_position n
                      where n.group_id = p.group_id and n.partition_id = p.partition_id
                        and (n.owner_epoch, n.position, n.id) > (p.owner_epoch, p.position, p.id));

  execute format('truncate only :schema.%I, only :schema.%I',
                 'consumer_position_s' || slot_number, 'delivery_mark_s' || slot_number);
  return true;
end
$$;
-- Empties a slot of the inbox if every bucket in it is older than the oldest that the log still holds: nothing in
-- it can be delivered again. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.inbox_empty_slot(slot_number integer, oldest_bucket_seq bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  slot_name text := 'inbox_s' || slot_number;
  needed boolean;
  filled boolean;
begin
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if not filled or not :schema.acl_open() then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute format('select exists (select from :schema.%I i where i.bucket_seq >= $1)', slot_name)
    into needed using oldest_bucket_seq;
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;
`,
};
