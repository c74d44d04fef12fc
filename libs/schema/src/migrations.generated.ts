// Made by scripts/build-sql.mjs from ../migrations; do not edit.
import type { Migration } from './migration.js';

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    name: '0001-log',
    breaking: false,
    checksum: '7f05da8624ccd032c2d201ad42741f7e1d0ecb6ec8520769d322afef42c1c508',
    sql: `-- The partitioned log: topics, their partitions, record batches in a ring of buckets.
--
-- A bucket of the ring is one partition of log_batch (its slot). Appends go to the newest open bucket; a bucket
-- is emptied by TRUNCATE when everything in it is past retention. log_segment is the small map that tells in
-- which bucket an offset lies; log_floor remembers where a partition goes on whose buckets are all gone.

create table :schema.topic (
  id              integer generated always as identity primary key,
  name            text not null unique
                  check (name ~ '^[A-Za-z0-9._-]{1,249}$' and name not in ('.', '..')),
  partition_count integer not null check (partition_count between 1 and 4096),
  retention_ms    bigint not null check (retention_ms > 0),
  on_dead_letter  text not null default 'unblock' check (on_dead_letter in ('unblock', 'park', 'block')),
  on_expired      text not null default 'dead-letter' check (on_expired in ('dead-letter', 'drop')),
  created_at      timestamptz not null default clock_timestamp()
);

create table :schema.topic_partition (
  id       integer generated always as identity primary key,
  topic_id integer not null references :schema.topic (id),
  number   integer not null,
  unique (topic_id, number)
);

create sequence :schema.producer_id as bigint;

create table :schema.log_bucket (
  seq       bigint primary key,
  slot      smallint not null unique,
  opened_at timestamptz not null default clock_timestamp()
);

create table :schema.log_segment (
  partition_id integer not null references :schema.topic_partition (id),
  bucket_seq   bigint not null references :schema.log_bucket (seq),
  slot         smallint not null,
  first_offset bigint not null,
  primary key (partition_id, bucket_seq)
);

create table :schema.log_floor (
  partition_id integer primary key references :schema.topic_partition (id),
  next_offset  bigint not null
);

create table :schema.log_batch (
  slot          smallint not null,
  partition_id  integer not null,
  base_offset   bigint not null,
  last_offset   bigint not null,
  record_count  integer not null,
  bytes         integer not null,
  producer_id   bigint not null,
  base_sequence integer not null,
  max_timestamp bigint not null,
  appended_at   timestamptz not null default clock_timestamp(),
  data          bytea not null
) partition by list (slot);

alter table :schema.log_batch alter column data set storage external;

create unique index log_batch_offset on :schema.log_batch (partition_id, last_offset, slot);
create index log_batch_producer on :schema.log_batch (partition_id, producer_id, base_sequence)
  where producer_id >= 0;

do $$
begin
  for slot in 0..8 loop
    execute format(
      'create table :schema.%I partition of :schema.log_batch for values in (%s)
         with (autovacuum_enabled = off)', 'log_batch_s' || slot, slot);
  end loop;
end
$$;

insert into :schema.log_bucket (seq, slot) values (1, 1);

-- The offset at which a partition goes on. The caller holds the partition's append lock.
create function :schema.log_next_offset(for_partition integer) returns bigint
language plpgsql set enable_seqscan = off
as $$
declare
  newest_slot smallint;
  found_offset bigint;
begin
  select s.slot into newest_slot
    from :schema.log_segment s where s.partition_id = for_partition
   order by s.bucket_seq desc limit 1;
  if newest_slot is not null then
    select b.last_offset + 1 into found_offset
      from :schema.log_batch b where b.slot = newest_slot and b.partition_id = for_partition
     order by b.last_offset desc limit 1;
  else
    select f.next_offset into found_offset from :schema.log_floor f where f.partition_id = for_partition;
  end if;
  return coalesce(found_offset, 0);
end
$$;

-- Appends record batches and numbers their records; the last statement of its transaction.
-- The batches stand one behind the other in all_data, partitions ascending. Order by lock, then look: the locks
-- are taken in statements of their own, so every read after them sees what earlier appenders have committed.
-- A batch of a producer that is known already (same first sequence) is not appended again: its offset is returned.
create function :schema.log_append(
  partition_ids integer[], record_counts integer[], byte_lengths integer[], max_timestamps bigint[],
  base_sequences integer[], all_data bytea, by_producer bigint, synchronous text)
returns table (appended_partition integer, appended_offset bigint)
language plpgsql set enable_seqscan = off
as $$
declare
  bucket record;
  newest_seq bigint;
  known_sequence integer;
  known_offset bigint;
  next_offset bigint;
  at_byte integer := 1;
  current_partition integer;
begin
  perform pg_advisory_xact_lock_shared(hashtext(':schema.structure'), 0);
  perform pg_advisory_xact_lock(hashtext(':schema.append'), p.id)
     from (select distinct unnest(partition_ids) as id order by 1) p;
  if synchronous is not null then
    perform set_config('synchronous_commit', synchronous, true);
  end if;
  select b.seq, b.slot into bucket from :schema.log_bucket b order by b.seq desc limit 1;

  for i in 1 .. cardinality(partition_ids) loop
    if current_partition is distinct from partition_ids[i] then
      current_partition := partition_ids[i];
      next_offset := :schema.log_next_offset(current_partition);
      select s.bucket_seq into newest_seq from :schema.log_segment s
       where s.partition_id = current_partition order by s.bucket_seq desc limit 1;
      if newest_seq is distinct from bucket.seq then
        insert into :schema.log_segment (partition_id, bucket_seq, slot, first_offset)
        values (current_partition, bucket.seq, bucket.slot, next_offset);
      end if;
    end if;

    known_sequence := null;
    if by_producer >= 0 then
      select b.base_sequence, b.base_offset into known_sequence, known_offset from :schema.log_batch b
       where b.partition_id = current_partition and b.producer_id = by_producer
         and b.base_sequence >= base_sequences[i]
       order by b.base_sequence limit 1;
    end if;
    if known_sequence is null then
      insert into :schema.log_batch (slot, partition_id, base_offset, last_offset, record_count, bytes,
                                     producer_id, base_sequence, max_timestamp, data)
      values (bucket.slot, current_partition, next_offset, next_offset + record_counts[i] - 1,
              record_counts[i], byte_lengths[i], by_producer, base_sequences[i], max_timestamps[i],
              substring(all_data from at_byte for byte_lengths[i]));
      appended_offset := next_offset;
      next_offset := next_offset + record_counts[i];
    elsif known_sequence = base_sequences[i] then
      appended_offset := known_offset;
    else
      raise exception using errcode = 'WB003',
        message = format('producer %s appends sequence %s to partition %s after a later one',
                         by_producer, base_sequences[i], current_partition);
    end if;
    at_byte := at_byte + byte_lengths[i];
    appended_partition := current_partition;
    return next;
  end loop;
end
$$;

-- Opens the next bucket of the ring when the newest has been open for bucket_ms. Returns false when nothing was
-- to be done, and fails with 55P03 when appends hold the structure lock for longer than 50 ms.
-- When the slot that is next is still in use, the newest bucket stays open and grows: nothing is lost by that.
create function :schema.log_open_bucket(bucket_ms bigint) returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  newest record;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.structure'), 0);
  select b.seq, b.slot, b.opened_at into newest from :schema.log_bucket b order by b.seq desc limit 1;
  if newest.opened_at > clock_timestamp() - bucket_ms * interval '1 millisecond' then
    return false;
  end if;
  if exists (select from :schema.log_bucket b where b.slot = (newest.slot + 1) % 9) then
    return false;
  end if;
  insert into :schema.log_bucket (seq, slot) values (newest.seq + 1, (newest.slot + 1) % 9);
  return true;
end
$$;

-- Empties the oldest bucket when all its records are past the longest retention of any topic. Never the newest.
-- The check stands after the locks: what is looked at cannot change any more.
create function :schema.log_drop_bucket() returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  oldest record;
  closed_at timestamptz;
  longest_ms bigint;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.structure'), 0);
  select b.seq, b.slot into oldest from :schema.log_bucket b order by b.seq limit 1;
  select b.opened_at into closed_at from :schema.log_bucket b where b.seq = oldest.seq + 1;
  select max(t.retention_ms) into longest_ms from :schema.topic t;
  if closed_at is null
     or closed_at > clock_timestamp() - coalesce(longest_ms, 0) * interval '1 millisecond' then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', 'log_batch_s' || oldest.slot);
  insert into :schema.log_floor as f (partition_id, next_offset)
  select s.partition_id, :schema.log_next_offset(s.partition_id)
    from :schema.log_segment s
   where s.bucket_seq = oldest.seq
     and not exists (select from :schema.log_segment n
                      where n.partition_id = s.partition_id and n.bucket_seq > s.bucket_seq)
  on conflict (partition_id) do update set next_offset = excluded.next_offset;
  delete from :schema.log_segment s where s.bucket_seq = oldest.seq;
  delete from :schema.log_bucket b where b.seq = oldest.seq;
  execute format('truncate only :schema.%I', 'log_batch_s' || oldest.slot);
  return true;
end
$$;

-- Where the log of each partition starts and ends. The end is the offset that the next record will get.
create function :schema.log_offsets(partition_ids integer[])
returns table (of_partition integer, start_offset bigint, end_offset bigint)
language plpgsql stable set enable_seqscan = off
as $$
begin
  return query
  select p.id,
         coalesce((select s.first_offset from :schema.log_segment s where s.partition_id = p.id
                    order by s.bucket_seq limit 1),
                  (select f.next_offset from :schema.log_floor f where f.partition_id = p.id), 0),
         :schema.log_next_offset(p.id)
    from unnest(partition_ids) as p (id);
end
$$;
`,
  },
  {
    number: 2,
    name: '0002-outbox',
    breaking: false,
    checksum: '56479ce4ebc51a62371a714494330d12c387b3617135f6030e7069a2ac92d963',
    sql: `-- The outbox: an append-only ring of time slots that producers insert into, in their own transactions, and the
-- relay's cursor over it. The cursor is a snapshot: what is visible in a newer snapshot and not in it is what has
-- been committed since (as PgQ has read its queues since 2007).

create sequence :schema.outbox_id as bigint;

create table :schema.outbox (
  slot             smallint not null
                   default (floor(extract(epoch from clock_timestamp()) / 600)::bigint % 8)::smallint,
  id               bigint not null default nextval(':schema.outbox_id'),
  xid              xid8 not null default pg_current_xact_id(),
  message_id       uuid not null,
  topic            text not null,
  partition_number integer,
  key              text,
  headers          jsonb,
  payload          bytea,
  created_at       timestamptz not null default clock_timestamp(),
  timer_action     smallint check (timer_action between 1 and 3),
  deliver_at       timestamptz,
  timer_token      text
) partition by list (slot);

comment on column :schema.outbox.timer_action is
  'null: a message for the log; 1: a message for later; 2: cancels timers; 3: moves timers to deliver_at';

-- Messages up to nearly a page stay in their row, uncompressed: they are read once, soon, and thrown away.
alter table :schema.outbox alter column payload set storage external;

create index outbox_xid on :schema.outbox (xid);
create index outbox_order on :schema.outbox (id);

do $$
begin
  for slot in 0..7 loop
    execute format(
      'create table :schema.%I partition of :schema.outbox for values in (%s)
         with (autovacuum_enabled = off, toast_tuple_target = 8160)', 'outbox_s' || slot, slot);
  end loop;
end
$$;

-- base is the cursor. While a large difference is moved in windows, target is the snapshot it leads to, and
-- window_id the id up to which the rows between the two have been moved, of window_end.
create table :schema.relay_cursor (
  slot              smallint not null,
  seq               bigint not null,
  base              pg_snapshot not null,
  target            pg_snapshot,
  window_id         bigint,
  window_end        bigint,
  system_identifier bigint not null,
  moved_at          timestamptz not null default clock_timestamp()
) partition by list (slot);

create index relay_cursor_seq on :schema.relay_cursor (seq);

do $$
begin
  for slot in 0..2 loop
    execute format(
      'create table :schema.%I partition of :schema.relay_cursor for values in (%s)
         with (autovacuum_enabled = off)', 'relay_cursor_s' || slot, slot);
  end loop;
end
$$;

insert into :schema.relay_cursor (slot, seq, base, system_identifier)
select 0, 1, pg_current_snapshot(), c.system_identifier from pg_control_system() c;

-- The topic's name, if the topic exists and has the partition; raises otherwise. So no row can name a topic
-- that the relay does not know.
create function :schema.known_topic(topic_name text, partition_number integer default null) returns text
language plpgsql stable
as $$
declare
  partitions integer;
begin
  select t.partition_count into partitions from :schema.topic t where t.name = topic_name;
  if partitions is null then
    raise exception using errcode = 'WB001', message = format('topic %s does not exist', topic_name),
      detail = topic_name;
  end if;
  if partition_number < 0 or partition_number >= partitions then
    raise exception using errcode = 'WB006', detail = topic_name, message = format(
      'partition %s was asked for and the topic has %s, counted from 0', partition_number, partitions);
  end if;
  return topic_name;
end
$$;

-- A UUID of version 7 (RFC 9562): milliseconds since the epoch, then random bits.
create function :schema.uuid_v7() returns uuid
language sql volatile
as $$
  select encode(
    set_byte(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      6, 112 | (get_byte(uuid_send(gen_random_uuid()), 6) & 15)),
    'hex')::uuid
$$;

-- When a message is to be delivered: at a time or after a delay, by this server's clock; null for at once.
-- expires_at and ttl_ms, of which one may be given, come out as the header's value: milliseconds since the epoch.
-- Raises when it would expire before it is delivered.
create function :schema.delivery_time(topic text, at_time timestamptz, delay_ms bigint, expires_at_ms bigint,
                                      ttl_ms bigint, out deliver_at timestamptz, out expires_at text)
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  deliver_at := coalesce(at_time, now_at + delay_ms * interval '1 millisecond');
  expires_at := coalesce(
    expires_at_ms,
    floor(extract(epoch from greatest(deliver_at, now_at)) * 1000)::bigint + ttl_ms)::text;
  if expires_at_ms <= extract(epoch from deliver_at) * 1000 then
    raise exception using errcode = 'WB006', detail = topic,
      message = 'it would expire before it is delivered: expiresAt must lie behind the time of delivery';
  end if;
end
$$;

-- Publishes a message in the current transaction, from any language. Returns the message's id. With deliver_at it is
-- delivered then, and timer_token names it for cancelling.
create function :schema.publish(topic text, key text, payload jsonb, headers jsonb default null,
                                deliver_at timestamptz default null, timer_token text default null) returns uuid
language sql volatile
as $$
  insert into :schema.outbox (message_id, topic, key, headers, payload, timer_action, deliver_at, timer_token)
  values (:schema.uuid_v7(), :schema.known_topic(publish.topic), publish.key, publish.headers,
          convert_to(publish.payload::text, 'UTF8'), case when publish.deliver_at is not null then 1 end,
          publish.deliver_at, case when publish.deliver_at is not null then publish.timer_token end)
  returning message_id
$$;

-- Begins a pass of the relay: takes the relay's lock, then, each in a later statement, reads the cursor and a
-- new snapshot, and measures how much lies between the two (up to measure_limit rows).
-- state: busy (another relay is at it), idle, or ready. min_id and max_id are given for a large difference.
create function :schema.relay_begin(measure_limit integer, lease_ms integer)
returns table (state text, seq bigint, base text, target text, window_id bigint, window_end bigint,
               in_windows boolean, row_count integer)
language plpgsql
as $$
declare
  cursor_row record;
  b pg_snapshot;
begin
  if not pg_try_advisory_xact_lock(hashtext(':schema.relay'), 0) then
    state := 'busy';
    return next;
    return;
  end if;
  -- A relay that stops in the middle of a pass loses its session, and with it the lock.
  perform set_config('idle_in_transaction_session_timeout', lease_ms::text, true);
  -- The ring's slots are never analysed, so what the planner thinks of them is wrong: always by index.
  perform set_config('enable_seqscan', 'off', true);
  select c.* into cursor_row from :schema.relay_cursor c order by c.seq desc limit 1;
  if cursor_row.system_identifier <> (select c.system_identifier from pg_control_system() c) then
    raise exception using errcode = 'WB007', message = 'the relay''s cursor belongs to another cluster',
      detail = cursor_row.system_identifier::text;
  end if;
  seq := cursor_row.seq;
  base := cursor_row.base::text;
  if cursor_row.target is not null then
    state := 'ready';
    target := cursor_row.target::text;
    window_id := cursor_row.window_id;
    window_end := cursor_row.window_end;
    in_windows := true;
    return next;
    return;
  end if;

  select pg_current_snapshot() into b;
  select count(*) into row_count
    from (select 1 from :schema.outbox o
           where o.xid >= pg_snapshot_xmax(cursor_row.base) and pg_visible_in_snapshot(o.xid, b)
          union all
          select 1 from :schema.outbox o
           where o.xid = any (array(select pg_snapshot_xip(cursor_row.base)))
             and pg_visible_in_snapshot(o.xid, b)
           limit measure_limit + 1) d;
  target := b::text;
  state := case when row_count = 0 then 'idle' else 'ready' end;
  in_windows := row_count > measure_limit;
  if in_windows then
    select min(d.id) - 1, max(d.id) into window_id, window_end
      from (select o.id from :schema.outbox o
             where o.xid >= pg_snapshot_xmax(cursor_row.base) and pg_visible_in_snapshot(o.xid, b)
            union all
            select o.id from :schema.outbox o
             where o.xid = any (array(select pg_snapshot_xip(cursor_row.base)))
               and pg_visible_in_snapshot(o.xid, b)
            offset 0) d;
  end if;
  return next;
end
$$;

-- Whether anything has been committed that is not visible in base. Takes no lock and no transaction id.
create function :schema.relay_probe(base pg_snapshot) returns boolean
language plpgsql stable set enable_seqscan = off
as $$
begin
  return exists (select from :schema.outbox o where o.xid >= pg_snapshot_xmax(base))
      or exists (select from :schema.outbox o where o.xid = any (array(select pg_snapshot_xip(base))));
end
$$;

-- Stores the cursor behind a pass. The caller holds the relay's lock, by relay_begin in the same transaction.
create function :schema.relay_advance(after_seq bigint, new_base pg_snapshot, new_target pg_snapshot,
                                      new_window_id bigint, new_window_end bigint) returns void
language plpgsql set enable_seqscan = off
as $$
declare
  newest record;
begin
  select c.seq, c.system_identifier into newest from :schema.relay_cursor c order by c.seq desc limit 1;
  if newest.seq is distinct from after_seq then
    raise exception using errcode = 'WB004',
      message = format('another relay moved the cursor from %s to %s', after_seq, newest.seq);
  end if;
  -- What the pass has moved may leave the outbox once its cursor is committed: not before that is on disk.
  perform set_config('synchronous_commit', 'on', true);
  insert into :schema.relay_cursor (slot, seq, base, target, window_id, window_end, system_identifier)
  values (((after_seq + 1) / 10000 % 3)::smallint, after_seq + 1, new_base, new_target, new_window_id,
          new_window_end, newest.system_identifier);
end
$$;

-- Empties the slot of the cursor's ring that comes next: the newest cursor is never in it.
create function :schema.relay_cursor_recycle() returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  newest bigint;
  next_slot smallint;
begin
  select c.seq into newest from :schema.relay_cursor c order by c.seq desc limit 1;
  next_slot := (newest / 10000 + 1) % 3;
  if not exists (select from :schema.relay_cursor c where c.slot = next_slot) then
    return false;
  end if;
  execute format('truncate only :schema.%I', 'relay_cursor_s' || next_slot);
  return true;
end
$$;

-- Empties one slot of the outbox's ring, if every row in it has been moved and is older than the retention.
-- Checked behind the lock: a transaction that has inserted into the slot holds a lock on it until it ends, so
-- no row can turn up after the check. Fails with 55P03 when the lock is not to be had within 50 ms.
create function :schema.outbox_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql set lock_timeout = '50ms' set enable_seqscan = off
as $$
declare
  slot_name text := 'outbox_s' || slot_number;
  cursor_base pg_snapshot;
  newest timestamptz;
  waiting boolean;
begin
  execute format('select o.created_at from :schema.%I o order by o.id desc limit 1', slot_name) into newest;
  if newest is null or newest > clock_timestamp() - retention_ms * interval '1 millisecond' then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  select c.base into cursor_base from :schema.relay_cursor c order by c.seq desc limit 1;
  execute format(
    'select exists (select from :schema.%1$I o where o.xid >= pg_snapshot_xmax($1))
         or exists (select from :schema.%1$I o where o.xid = any (array(select pg_snapshot_xip($1))))',
    slot_name) into waiting using cursor_base;
  execute format('select o.created_at from :schema.%I o order by o.id desc limit 1', slot_name) into newest;
  if waiting or newest > clock_timestamp() - retention_ms * interval '1 millisecond' then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;

-- For an operator, after the database was loaded from a dump into another cluster, with all publishers stopped:
-- keeps the messages that had not been moved, under new transaction ids, and lets the cursor begin anew.
-- What had been moved is told by the transaction ids and the cursor as they were dumped, which fit each other. What is
-- younger than the last pass has been published since, here or there: it is kept.
create function :schema.relay_adopt() returns bigint
language plpgsql
as $$
declare
  cursor_row record;
  kept bigint;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.relay'), 0);
  lock table :schema.outbox in access exclusive mode;
  select c.* into cursor_row from :schema.relay_cursor c order by c.seq desc limit 1;
  create temporary table adopted_message on commit drop as
    select o.* from :schema.outbox o
     where o.created_at > cursor_row.moved_at
        or not pg_visible_in_snapshot(o.xid, cursor_row.base)
           and (cursor_row.target is null or not pg_visible_in_snapshot(o.xid, cursor_row.target)
                or o.id > cursor_row.window_id);
  truncate :schema.outbox;
  insert into :schema.outbox (id, message_id, topic, partition_number, key, headers, payload, created_at,
                              timer_action, deliver_at, timer_token)
  select a.id, a.message_id, a.topic, a.partition_number, a.key, a.headers, a.payload, a.created_at,
         a.timer_action, a.deliver_at, a.timer_token
    from adopted_message a order by a.id;
  get diagnostics kept = row_count;
  insert into :schema.relay_cursor (slot, seq, base, system_identifier)
  select ((cursor_row.seq + 1) / 10000 % 3)::smallint, cursor_row.seq + 1, pg_current_snapshot(),
         c.system_identifier
    from pg_control_system() c;
  return kept;
end
$$;
`,
  },
  {
    number: 3,
    name: '0003-consumer',
    breaking: false,
    checksum: '21259a18bc448f9d0b37c91775625823b4da64dabbe9ed871a55cfce4bb6f777',
    sql: `-- Consumer groups and what consuming leaves behind: members, owners of partitions, positions, marks, charges for
-- crashes, parked messages, dead letters, and the inbox for handlers that write to another database than the log's.

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

-- One row a (group, partition), changed only when the partition changes hands (or is about to): the fence.
create table :schema.partition_owner (
  group_id     integer not null references :schema.consumer_group (id),
  partition_id integer not null references :schema.topic_partition (id),
  owner_id     uuid,
  owner_epoch  bigint not null default 0,
  target_id    uuid,
  primary key (group_id, partition_id)
);

create sequence :schema.position_id as bigint;

-- Every offset below position is done. Records from position up to in_flight_end may have been begun.
create table :schema.consumer_position (
  slot          smallint not null
                default (floor(extract(epoch from clock_timestamp()) / 3600)::bigint % 4)::smallint,
  id            bigint not null default nextval(':schema.position_id'),
  group_id      integer not null,
  partition_id  integer not null,
  position      bigint not null,
  in_flight_end bigint not null,
  stored_at     timestamptz not null default clock_timestamp()
) partition by list (slot);

create index consumer_position_newest on :schema.consumer_position (group_id, partition_id, id);

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

-- One row for every time a record was begun alone after a crash; see docs/ARCHITECTURE.md, "Crashes".
create table :schema.crash_charge (
  group_id     integer not null,
  partition_id integer not null,
  log_offset   bigint not null,
  charged_at   timestamptz not null default clock_timestamp()
);

create index crash_charge_offset on :schema.crash_charge (group_id, partition_id, log_offset);

-- Messages that wait beside the log, in order of their offsets within a key: the first of a key is due for its next
-- attempt at due_at ('infinity': an operator decides about its dead letter; null: as soon as it is the first), those
-- behind it wait for it. Written only by the partition's owner, and by operators for messages of dead letters.
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

-- open: nobody has decided. redriving: it waits in parked_message for its handler, or runs. The others are ends.
-- headers is an array of [name, value] in the order of the record, a value that is no text as {"base64": ...}.
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

create index dead_letter_fingerprint on :schema.dead_letter (fingerprint, id);

-- Retries that a group may still make in the whole cluster: a token bucket, drawn from by the processes in portions.
create table :schema.retry_budget (
  group_id  integer primary key references :schema.consumer_group (id),
  tokens    double precision not null,
  filled_at timestamptz not null default clock_timestamp()
);

-- The inbox lies in the database that the handler writes to, so it names the log's entries in full.
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

-- Raises unless the member owns the partition in this epoch and its lease runs. The share lock keeps the
-- partition from changing hands until the caller's transaction ends. The last statement before COMMIT.
create function :schema.fence(of_group integer, of_partition integer, by_member uuid, in_epoch bigint)
returns void
language plpgsql
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
language plpgsql
as $$
begin
  insert into :schema.consumer_position (group_id, partition_id, position, in_flight_end)
  values (of_group, of_partition, new_position, new_in_flight_end);
  perform :schema.fence(of_group, of_partition, by_member, in_epoch);
end
$$;

-- Extends the member's lease; joins the group when it is not (or no longer) in it.
create function :schema.group_heartbeat(of_group integer, by_member uuid, on_topics text[], lease_ms integer)
returns void
language sql
as $$
  insert into :schema.group_member as m (group_id, member_id, topics, lease_until)
  values (of_group, by_member, on_topics, clock_timestamp() + lease_ms * interval '1 millisecond')
  on conflict (group_id, member_id) do update
     set lease_until = excluded.lease_until, topics = excluded.topics;
$$;

-- Gives partitions to members. The caller holds the group's lock. A partition whose owner lives is only promised
-- (target_id): it changes hands when the owner lets go, or when its lease has run out.
create function :schema.group_assign(of_group integer, partition_ids integer[], member_ids uuid[]) returns void
language plpgsql
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

-- Lets go of a partition, in whatever epoch the member owns it: it goes to the member it is promised to, or to nobody.
create function :schema.group_release(of_group integer, of_partition integer, by_member uuid) returns void
language plpgsql
as $$
begin
  perform from :schema.consumer_group g where g.id = of_group for update;
  update :schema.partition_owner o
     set owner_id = o.target_id, owner_epoch = o.owner_epoch + 1, target_id = null
   where o.group_id = of_group and o.partition_id = of_partition and o.owner_id = by_member;
end
$$;

-- Raises the epoch of a partition that the member owns, and returns the new one; no row when it is another's. Waits for
-- transactions that hold the fence; those that come late with the old epoch fail. Afterwards it is certain which of the
-- owner's own transactions, whose answers were lost, have been committed.
create function :schema.reclaim(of_group integer, of_partition integer, by_member uuid, in_epoch bigint)
returns setof bigint
language sql
as $$
  update :schema.partition_owner o
     set owner_epoch = o.owner_epoch + 1
   where o.group_id = of_group and o.partition_id = of_partition
     and o.owner_id = by_member and o.owner_epoch = in_epoch
  returning o.owner_epoch;
$$;

-- Draws up to wanted retries from the group's budget, which fills at per_second up to burst; returns how many.
create function :schema.retry_budget_draw(of_group integer, wanted integer, per_second double precision,
                                          burst integer) returns integer
language plpgsql
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

-- Empties the slots of positions and marks that are due, after carrying forward what is still needed of them:
-- the newest position of each (group, partition), and marks at or above it. Carried rows keep their ids, so a
-- newer row stays newer. Fails with 55P03 when a lock is not to be had within 50 ms.
create function :schema.consumer_recycle(slot_number integer) returns boolean
language plpgsql set lock_timeout = '50ms' set enable_seqscan = off
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
                                    order by p.id desc limit 1), 0);

  insert into :schema.consumer_position (slot, id, group_id, partition_id, position, in_flight_end, stored_at)
  select current_slot, p.id, p.group_id, p.partition_id, p.position, p.in_flight_end, p.stored_at
    from (select distinct on (q.group_id, q.partition_id) q.*
            from :schema.consumer_position q where q.slot = slot_number
           order by q.group_id, q.partition_id, q.id desc) p
   where not exists (select from :schema.consumer_position n
                      where n.group_id = p.group_id and n.partition_id = p.partition_id and n.id > p.id);

  execute format('truncate only :schema.%I, only :schema.%I',
                 'consumer_position_s' || slot_number, 'delivery_mark_s' || slot_number);
  return true;
end
$$;

-- Empties a slot of the inbox when every bucket in it is older than the oldest that the log still holds: nothing in
-- it can be delivered again. Fails with 55P03 when the lock is not to be had within 50 ms.
create function :schema.inbox_empty_slot(slot_number integer, oldest_bucket_seq bigint) returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  slot_name text := 'inbox_s' || slot_number;
  needed boolean;
  filled boolean;
begin
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if not filled then
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
  },
  {
    number: 4,
    name: '0004-timer',
    breaking: false,
    checksum: '84132f96118bee0b4ca754f37190866c3a086cc89ac152784c2ebceb9ff2aaa4',
    sql: `-- Timers: what is to happen later. The table is the truth; what wakes the process that fires them is only a clock.
--
-- A ring of eight near slots of an hour each for what is due within six hours, and one slot for what is farther.
-- A timer is deleted when it fires, in the transaction of its effect. A near slot whose hour is past and that is
-- empty is truncated, so that what deletes leave behind goes away even while somebody holds an old snapshot.

create sequence :schema.timer_id as bigint;

-- kind: 1 a message, 2 a run of a recurring message (token is its name). Later releases add more.
-- message_id is the timer's id towards users; id is the order among those that are due at the same time.
create table :schema.timer (
  slot             smallint not null,
  due_at           timestamptz not null,
  id               bigint not null default nextval(':schema.timer_id'),
  kind             smallint not null,
  message_id       uuid,
  token            text,
  topic            text,
  partition_number integer,
  key              text,
  headers          jsonb,
  payload          bytea,
  created_at       timestamptz not null default clock_timestamp()
) partition by list (slot);

-- Read once, and thrown away: not worth compressing.
alter table :schema.timer alter column payload set storage external;

create index timer_due on :schema.timer (due_at, id);
create index timer_message on :schema.timer (message_id);
create index timer_token on :schema.timer (token) where token is not null;

-- Giving pages back at the end of a slot would lock it exclusively; a truncated slot has given back all of them.
do $$
begin
  for slot in 0..7 loop
    execute format('create table :schema.%I partition of :schema.timer for values in (%s)
                      with (vacuum_truncate = off, toast_tuple_target = 8160)', 'timer_s' || slot, slot);
  end loop;
end
$$;
create table :schema.timer_far partition of :schema.timer for values in (8)
  with (vacuum_truncate = off, toast_tuple_target = 8160);

create table :schema.recurring_message (
  name             text primary key,
  topic            text not null,
  partition_number integer,
  key              text,
  headers          jsonb,
  payload          bytea,
  cron             text,
  time_zone        text,
  every_ms         bigint check (every_ms > 0),
  missed           text not null check (missed in ('skip', 'one', 'all')),
  revision         bigint not null,
  created_at       timestamptz not null default clock_timestamp(),
  check ((cron is null) <> (every_ms is null))
);

-- Due times are kept to the millisecond, rounded up, from now to a hundred years ahead: a time in the past is now.
create function :schema.timer_due(wanted timestamptz) returns timestamptz
language sql volatile
as $$
  select date_trunc('milliseconds', least(greatest(wanted, clock_timestamp()),
                                          clock_timestamp() + interval '100 years') + interval '999 microseconds')
$$;

-- The slot for a due time: that of its hour when it is near, else the far one.
create function :schema.timer_slot(due timestamptz) returns smallint
language sql volatile
as $$
  select case when due < clock_timestamp() + interval '6 hours'
              then floor(extract(epoch from due) / 3600)::bigint % 8 else 8 end::smallint
$$;

create function :schema.timer_ms(moment timestamptz) returns bigint
language sql immutable
as $$
  select floor(extract(epoch from moment) * 1000)::bigint
$$;

-- Schedules messages, in the order of the arrays. Returns their due times.
create function :schema.timer_schedule(
  message_ids uuid[], tokens text[], topics text[], partitions integer[], keys text[], all_headers text[],
  payloads bytea[], wanted_ms bigint[])
returns table (due_ms bigint)
language plpgsql
as $$
begin
  return query
  with wanted as materialized (
    select m.*, :schema.timer_due(timestamptz 'epoch' + m.at_ms * interval '1 millisecond') as due_at
      from unnest(message_ids, tokens, topics, partitions, keys, all_headers, payloads, wanted_ms) with ordinality
        as m (message_id, token, topic, partition_number, key, headers, payload, at_ms, number)
  ), added as (
    insert into :schema.timer as t (slot, due_at, kind, message_id, token, topic, partition_number, key, headers,
                                    payload)
    select :schema.timer_slot(w.due_at), w.due_at, 1, w.message_id, w.token, w.topic, w.partition_number, w.key,
           w.headers::jsonb, w.payload
      from wanted w order by w.number
    returning t.due_at
  )
  select :schema.timer_ms(a.due_at) from added a;
end
$$;

-- Cancels messages that are scheduled, by id or token. Returns how many; one that is being fired is waited for, and
-- not counted. Raises 40001 when one is just being moved to another slot: to be tried again.
create function :schema.timer_cancel(message_ids uuid[], tokens text[]) returns integer
language plpgsql set enable_seqscan = off
as $$
declare
  by_id integer;
  by_token integer;
begin
  delete from :schema.timer t where t.message_id = any (message_ids) and t.kind = 1;
  get diagnostics by_id = row_count;
  delete from :schema.timer t where t.token = any (tokens) and t.kind = 1;
  get diagnostics by_token = row_count;
  return by_id + by_token;
end
$$;

-- Moves scheduled messages to another time, by id or token; counts and raises as timer_cancel does.
create function :schema.timer_reschedule(message_ids uuid[], tokens text[], wanted timestamptz)
returns table (moved integer, due_ms bigint)
language plpgsql set enable_seqscan = off
as $$
declare
  due timestamptz := :schema.timer_due(wanted);
  due_slot smallint := :schema.timer_slot(due);
  by_token integer;
begin
  update :schema.timer t set slot = due_slot, due_at = due where t.message_id = any (message_ids) and t.kind = 1;
  get diagnostics moved = row_count;
  update :schema.timer t set slot = due_slot, due_at = due where t.token = any (tokens) and t.kind = 1;
  get diagnostics by_token = row_count;
  moved := moved + by_token;
  due_ms := :schema.timer_ms(due);
  return next;
end
$$;

-- The time, and when the next timer is due that is not due before low. Takes no lock and no transaction id.
create function :schema.timer_probe(low timestamptz, kinds smallint[])
returns table (now_ms bigint, next_ms bigint)
language plpgsql stable
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
begin
  select :schema.timer_ms(t.due_at) into next_ms from :schema.timer t
   where t.due_at >= low and t.kind = any (kinds) order by t.due_at, t.id limit 1;
  now_ms := :schema.timer_ms(clock_timestamp());
  return next;
end
$$;

-- Takes timers that are due, in order: deletes and returns them. One process at a time does so, by an advisory lock
-- that is waited for at most 50 ms (55P03); what is due is looked at behind the lock, in a later statement. The lower
-- bound keeps it from walking over what has been deleted. A caller that stops in its transaction loses its session.
create function :schema.timer_claim(low timestamptz, kinds smallint[], claim_limit integer, lease_ms integer)
returns table (now_ms bigint, due_ms bigint, id bigint, kind smallint, message_id uuid, token text, topic text,
               partition_number integer, key text, headers text, payload bytea)
language plpgsql
  set lock_timeout = '50ms' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  now_at timestamptz;
begin
  perform set_config('idle_in_transaction_session_timeout', lease_ms::text, true);
  perform pg_advisory_xact_lock(hashtext(':schema.timer'), 0);
  now_at := clock_timestamp();
  return query
  with due as materialized (
    select t.slot, t.due_at, t.id from :schema.timer t
     where t.due_at >= low and t.due_at <= now_at and t.kind = any (kinds)
     order by t.due_at, t.id limit claim_limit for update skip locked
  )
  delete from :schema.timer t using due d
   where t.slot = d.slot and t.due_at = d.due_at and t.id = d.id
  returning :schema.timer_ms(now_at), :schema.timer_ms(t.due_at), t.id, t.kind, t.message_id, t.token, t.topic,
            t.partition_number, t.key, t.headers::text, t.payload;
end
$$;

-- Moves far timers that are due within six hours to their near slots. The move is an update over partitions, so a
-- cancel at the same time fails with 40001 and is tried again: it can neither miss the timer nor cancel it twice.
create function :schema.timer_promote(move_limit integer) returns integer
language plpgsql
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  now_at timestamptz := clock_timestamp();
  moved integer;
begin
  with near as materialized (
    select t.due_at, t.id from :schema.timer t
     where t.slot = 8 and t.due_at < now_at + interval '6 hours'
     order by t.due_at, t.id limit move_limit for update skip locked
  )
  update :schema.timer t set slot = (floor(extract(epoch from t.due_at) / 3600)::bigint % 8)::smallint
    from near n where t.slot = 8 and t.due_at = n.due_at and t.id = n.id;
  get diagnostics moved = row_count;
  return moved;
end
$$;

-- Empties the near slot that is next to be filled, when everything in it has gone. Checked behind the lock, which is
-- waited for at most 50 ms (55P03): whoever has inserted into the slot holds a lock on it until he ends.
create function :schema.timer_empty_slot() returns boolean
language plpgsql set lock_timeout = '50ms' set enable_seqscan = off
as $$
declare
  slot_name text := 'timer_s' || (floor(extract(epoch from clock_timestamp()) / 3600)::bigint - 1) % 8;
  filled boolean;
begin
  if pg_relation_size(format(':schema.%I', slot_name)::regclass) = 0 then
    return false;
  end if;
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if filled then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if filled then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;

-- The stretches of slot_ms milliseconds, numbered from the epoch by their ends, in which timers are due from from_ms up
-- to until_ms. One process at a time reads them: busy says that another is at it.
create function :schema.timer_window(from_ms bigint, until_ms bigint, slot_ms integer)
returns table (busy boolean, due_slots bigint[])
language plpgsql
  set enable_seqscan = off set enable_bitmapscan = off set jit = off
as $$
begin
  busy := not pg_try_advisory_xact_lock(hashtext(':schema.timer_window'), 0);
  if not busy then
    select coalesce(array_agg(distinct (:schema.timer_ms(t.due_at) + slot_ms - 1) / slot_ms), '{}')
      into due_slots from :schema.timer t
     where t.due_at >= timestamptz 'epoch' + from_ms * interval '1 millisecond'
       and t.due_at < timestamptz 'epoch' + until_ms * interval '1 millisecond';
  end if;
  return next;
end
$$;

-- Stores a recurring message, and a timer for its first run. A definition that is as it was keeps its next run.
-- Timers of an earlier definition are removed; one that is just being fired finds another revision, and does nothing.
create function :schema.recurring_put(
  for_name text, for_topic text, for_partition integer, for_key text, for_headers jsonb, for_payload bytea,
  for_cron text, for_time_zone text, for_every_ms bigint, for_missed text, first_run_ms bigint)
returns table (changed boolean, due_ms bigint)
language plpgsql set enable_seqscan = off
as $$
declare
  new_revision bigint;
  due timestamptz;
begin
  insert into :schema.recurring_message as r (name, topic, partition_number, key, headers, payload, cron, time_zone,
                                              every_ms, missed, revision)
  values (for_name, :schema.known_topic(for_topic, for_partition), for_partition, for_key, for_headers, for_payload,
          for_cron, for_time_zone, for_every_ms, for_missed, nextval(':schema.timer_id'))
  on conflict (name) do update
     set topic = excluded.topic, partition_number = excluded.partition_number, key = excluded.key,
         headers = excluded.headers, payload = excluded.payload, cron = excluded.cron,
         time_zone = excluded.time_zone, every_ms = excluded.every_ms, missed = excluded.missed,
         revision = excluded.revision
   where (r.topic, r.partition_number, r.key, r.headers, r.payload, r.cron, r.time_zone, r.every_ms, r.missed)
         is distinct from (excluded.topic, excluded.partition_number, excluded.key, excluded.headers,
                           excluded.payload, excluded.cron, excluded.time_zone, excluded.every_ms, excluded.missed)
  returning r.revision into new_revision;
  changed := new_revision is not null;
  if changed then
    delete from :schema.timer t
     using (select o.slot, o.due_at, o.id from :schema.timer o
             where o.token = for_name and o.kind = 2 for update skip locked) old
     where t.slot = old.slot and t.due_at = old.due_at and t.id = old.id;
    due := :schema.timer_due(timestamptz 'epoch' + first_run_ms * interval '1 millisecond');
    insert into :schema.timer (slot, due_at, kind, token, headers)
    values (:schema.timer_slot(due), due, 2, for_name,
            jsonb_build_object('revision', new_revision, 'runAtMs', first_run_ms));
    due_ms := :schema.timer_ms(due);
  end if;
  return next;
end
$$;
`,
  },
  {
    number: 5,
    name: '0005-operators',
    breaking: false,
    checksum: '94b11eb7ce4c5a1b7a24fa06e206908db60ff6298c18e4257b21f2e20d85e1af',
    sql: `-- What operators decide: redriving and discarding dead letters, and the record of who did what when.

-- One row for everything that an operator did, never changed.
create table :schema.operator_action (
  id          bigint generated always as identity primary key,
  acted_at    timestamptz not null default clock_timestamp(),
  actor       text not null check (actor <> ''),
  action      text not null,
  target_kind text not null,
  target      text not null,
  reason      text,
  details     jsonb not null default '{}'
);

create index operator_action_target on :schema.operator_action (target_kind, target, id);

-- A redrive of the dead letters that match a filter, in steps: those up to cursor_id are done. Dead letters that are
-- newer than up_to_id are not part of it, so that it comes to an end.
create table :schema.redrive (
  id          bigint generated always as identity primary key,
  filter      jsonb not null,
  actor       text not null,
  per_second  integer not null,
  up_to_id    bigint not null,
  cursor_id   bigint not null default 0,
  total       bigint not null,
  redriven    bigint not null default 0,
  state       text not null default 'running' check (state in ('running', 'done', 'cancelled')),
  started_at  timestamptz not null default clock_timestamp(),
  moved_at    timestamptz not null default clock_timestamp()
);

-- A payload as JSON; null when it is none.
create function :schema.json_or_null(payload bytea) returns jsonb
language plpgsql immutable
as $$
begin
  return convert_from(payload, 'UTF8')::jsonb;
exception when others then
  return null;
end
$$;

-- The dead letters that match a filter, by id. The filter is an object; what it does not name matches everything:
-- ids (array), group, topic, handler, key, reason, errorClass, fingerprint, messageId, states (array), from, to (times of
-- the last failure), payload (array of {path: array of names, value: text}).
create function :schema.dead_letter_ids(filter jsonb, after_id bigint, most integer) returns setof bigint
language sql stable
as $$
  select d.id
    from :schema.dead_letter d
    join :schema.consumer_group g on g.id = d.group_id
   where d.id > after_id
     and (filter->'ids' is null or d.id in (select i.id::bigint from jsonb_array_elements_text(filter->'ids') as i (id)))
     and (filter->>'group' is null or g.name = filter->>'group')
     and (filter->>'topic' is null or d.topic = filter->>'topic')
     and (filter->>'handler' is null or d.handler = filter->>'handler')
     and (filter->>'key' is null or d.key = filter->>'key')
     and (filter->>'reason' is null or d.reason = filter->>'reason')
     and (filter->>'errorClass' is null or d.error_class = filter->>'errorClass')
     and (filter->>'fingerprint' is null or d.fingerprint = filter->>'fingerprint')
     and (filter->>'messageId' is null or d.message_id = filter->>'messageId')
     and (filter->'states' is null
          or d.state in (select s.state from jsonb_array_elements_text(filter->'states') as s (state)))
     and (filter->>'from' is null or d.last_failed_at >= (filter->>'from')::timestamptz)
     and (filter->>'to' is null or d.last_failed_at < (filter->>'to')::timestamptz)
     and (filter->'payload' is null or not exists (
            select from jsonb_array_elements(filter->'payload') as c (condition)
             where :schema.json_or_null(d.payload)
                     #>> array(select jsonb_array_elements_text(c.condition->'path'))
                   is distinct from c.condition->>'value'))
   order by d.id
   limit most
$$;

-- Puts open dead letters back in front of the handler that failed, each once: the owner of the partition runs them in
-- order of their offsets within a key. Returns how many there were.
create function :schema.redrive_dead_letters(letter_ids bigint[]) returns bigint
language plpgsql
as $$
declare
  redriven bigint;
begin
  perform from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id for update;
  insert into :schema.parked_message as m (group_id, partition_id, log_offset, bucket_seq, message_id, key, headers,
                                           payload, timestamp_ms, due_at, from_dead_letter)
  select d.group_id, d.partition_id, d.log_offset, d.bucket_seq, d.message_id, d.key, d.headers, d.payload,
         d.timestamp_ms, clock_timestamp(), true
    from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id
  on conflict (group_id, partition_id, log_offset) do update
     set message_id = excluded.message_id, headers = excluded.headers, payload = excluded.payload,
         due_at = excluded.due_at, attempts = 0, crashes = 0, in_flight = false, first_failed_at = null,
         from_dead_letter = true;
  update :schema.dead_letter d
     set state = 'redriving', state_since = clock_timestamp(), redrives = d.redrives + 1
   where d.id = any (letter_ids) and d.state = 'open';
  get diagnostics redriven = row_count;
  return redriven;
end
$$;

-- One step of a redrive: up to most dead letters. Steps of one redrive take turns on its row, so it may be resumed by
-- another process while the first still lives. Returns the redrive as it then stands.
create function :schema.redrive_step(redrive_id bigint, most integer) returns setof :schema.redrive
language plpgsql
as $$
declare
  job :schema.redrive;
  found_ids bigint[];
  moved bigint;
begin
  select r.* into job from :schema.redrive r where r.id = redrive_id for update;
  if job.state = 'running' then
    found_ids := array(select i.id from :schema.dead_letter_ids(job.filter, job.cursor_id, most) as i (id)
                        where i.id <= job.up_to_id);
    moved := :schema.redrive_dead_letters(found_ids);
    update :schema.redrive r
       set cursor_id = coalesce((select max(i.id) from unnest(found_ids) as i (id)), r.cursor_id),
           redriven = r.redriven + moved, moved_at = clock_timestamp(),
           state = case when cardinality(found_ids) = 0 then 'done' else r.state end
     where r.id = redrive_id;
  end if;
  return query select r.* from :schema.redrive r where r.id = redrive_id;
end
$$;

-- Discards open dead letters, and lets go of what waited behind them. Returns their ids.
create function :schema.discard_dead_letters(letter_ids bigint[]) returns setof bigint
language plpgsql
as $$
begin
  perform from :schema.dead_letter d where d.id = any (letter_ids) and d.state = 'open' order by d.id for update;
  delete from :schema.parked_message m
   using :schema.dead_letter d
   where d.id = any (letter_ids) and d.state = 'open'
     and m.group_id = d.group_id and m.partition_id = d.partition_id and m.log_offset = d.log_offset;
  return query
  update :schema.dead_letter d set state = 'discarded', state_since = clock_timestamp()
   where d.id = any (letter_ids) and d.state = 'open'
  returning d.id;
end
$$;
`,
  },
  {
    number: 6,
    name: '0006-half-message',
    breaking: false,
    checksum: 'ae50ec7489849ed0aceba34212a354f0e06737791ae1ef5405a6edeebaf9d54e',
    sql: `-- Half messages: messages that are stored and invisible until their producer's local transaction, in another database or
-- in no database, has ended; and the barrier by which such a transaction and whoever asks about it exclude each other.

-- Those that are not decided. state: 1 prepared, 4 undecided (waits for an operator). A check claims a prepared one by
-- moving next_check_at to the end of its lease and raising lease_epoch; what it answers counts under that epoch only.
-- checks counts answers UNKNOWN, unanswered the checks since the last answer that brought none. local says where and
-- how the local transaction can be asked about; null: by a check of the user's.
create table :schema.half_message (
  id                uuid primary key,
  producer_group    text not null,
  state             smallint not null default 1 check (state in (1, 4)),
  prepared_at       timestamptz not null default clock_timestamp(),
  next_check_at     timestamptz not null,
  deadline_at       timestamptz,
  check_interval_ms bigint not null,
  check_max         integer not null,
  checks            integer not null default 0,
  unanswered        integer not null default 0,
  lease_epoch       bigint not null default 0,
  claimed_by        text,
  last_answer       text,
  local             jsonb,
  messages          jsonb not null,
  payloads          bytea[] not null
) with (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0.05);

create index half_message_due on :schema.half_message (producer_group, next_check_at) where state = 1;
create index half_message_undecided on :schema.half_message (id) where state = 4;

-- Those that are decided, without their payloads: 2 committed, 3 rolled back. A ring of nine slots of a day each.
create table :schema.half_message_decided (
  slot           smallint not null,
  id             uuid not null,
  producer_group text not null,
  state          smallint not null check (state in (2, 3)),
  prepared_at    timestamptz not null,
  decided_at     timestamptz not null default clock_timestamp(),
  decided_by     text not null,
  reason         text,
  checks         integer not null,
  messages       jsonb not null
) partition by list (slot);

create index half_message_decided_id on :schema.half_message_decided (id);

do $$
begin
  for slot in 0..8 loop
    execute format('create table :schema.%I partition of :schema.half_message_decided for values in (%s)
                      with (autovacuum_enabled = off)', 'half_message_decided_s' || slot, slot);
  end loop;
end
$$;

-- One row for what happened first under a name, in the database of the business rows: the operation itself, or a
-- tombstone that keeps it from happening.
create table :schema.barrier (
  gid        text not null,
  branch     text not null,
  op         text not null,
  reason     text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (gid, branch, op)
);

-- Lets the current transaction depend on being on disk once it has committed, whatever the database's default is.
create function :schema.commit_to_disk() returns void
language sql volatile
as $$
  select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'
$$;

-- Passes the barrier, as the first write of the operation's transaction; false when somebody has been here before: the
-- operation itself, or a tombstone. Waits for a transaction that is just here.
create function :schema.barrier_pass(of_gid text, of_branch text, of_op text) returns boolean
language plpgsql
as $$
begin
  perform :schema.commit_to_disk();
  insert into :schema.barrier (gid, branch, op, reason) values (of_gid, of_branch, of_op, of_op)
  on conflict do nothing;
  return found;
end
$$;

-- Sets a tombstone, and says whose row it is after that: the reason of the first. From then on the answer stays what it
-- is. An operation that is still open is waited for, at most wait_ms (55P03). The answer is on disk when it arrives: also
-- that the operation has committed, which its own commit may have left to a later flush.
create function :schema.barrier_tombstone(of_gid text, of_branch text, of_op text, of_reason text, wait_ms integer)
returns text
language plpgsql
as $$
declare
  first_reason text;
begin
  perform :schema.commit_to_disk();
  perform set_config('lock_timeout', wait_ms::text, true);
  insert into :schema.barrier (gid, branch, op, reason) values (of_gid, of_branch, of_op, of_reason)
  on conflict do nothing;
  if not found then
    perform pg_logical_emit_message(true, ':schema', '');
  end if;
  select b.reason into first_reason from :schema.barrier b
   where b.gid = of_gid and b.branch = of_branch and b.op = of_op;
  return first_reason;
end
$$;

-- Stores a half message, on disk before it returns. Topics are those of the log. Returns the time.
create function :schema.half_prepare(
  half_id uuid, of_group text, immunity_ms bigint, deadline_ms bigint, interval_ms bigint, max_checks integer,
  of_local jsonb, of_messages jsonb, of_payloads bytea[])
returns bigint
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  perform :schema.commit_to_disk();
  perform :schema.known_topic(m.topic, m.partition)
     from jsonb_to_recordset(of_messages) as m (topic text, partition integer);
  insert into :schema.half_message (id, producer_group, prepared_at, next_check_at, deadline_at, check_interval_ms,
                                    check_max, local, messages, payloads)
  values (half_id, of_group, now_at, now_at + immunity_ms * interval '1 millisecond',
          now_at + deadline_ms * interval '1 millisecond', interval_ms, max_checks, of_local, of_messages, of_payloads);
  return :schema.timer_ms(now_at);
end
$$;

-- Decides about a half message, and hands out what it holds, for the transaction that also delivers it. The row's lock
-- comes first; what others have decided is looked for behind it, in a later statement.
-- verdict: 2 commit, 3 roll back. in_epoch: that of the claim under which a check has answered; null for everybody else.
-- outcome: done; already (decided so before); refused (decided otherwise before); fenced (another claim is newer);
-- open (not in one of from_states); missing.
create function :schema.half_decide(
  half_id uuid, verdict smallint, by_whom text, why text, in_epoch bigint, from_states smallint[])
returns table (outcome text, state smallint, decided_by text, reason text, now_ms bigint, messages text,
               payloads bytea[])
language plpgsql set enable_seqscan = off
as $$
declare
  half :schema.half_message;
  now_at timestamptz;
begin
  select h.* into half from :schema.half_message h where h.id = half_id for update;
  if found then
    state := half.state;
    if in_epoch <> half.lease_epoch then
      outcome := 'fenced';
    elsif half.state <> all (from_states) then
      outcome := 'open';
    else
      perform :schema.commit_to_disk();
      now_at := clock_timestamp();
      delete from :schema.half_message h where h.id = half_id;
      insert into :schema.half_message_decided (slot, id, producer_group, state, prepared_at, decided_at, decided_by,
                                                reason, checks, messages)
      values ((floor(extract(epoch from now_at) / 86400)::bigint % 9)::smallint, half_id, half.producer_group, verdict,
              half.prepared_at, now_at, by_whom, why, half.checks, half.messages);
      outcome := 'done';
      state := verdict;
      decided_by := by_whom;
      reason := why;
      now_ms := :schema.timer_ms(now_at);
      messages := half.messages::text;
      payloads := half.payloads;
    end if;
  else
    select d.state, d.decided_by, d.reason into state, decided_by, reason
      from :schema.half_message_decided d where d.id = half_id;
    outcome := case when not found then 'missing' when state = verdict then 'already' else 'refused' end;
  end if;
  return next;
end
$$;

-- Commits prepared half messages whose content the caller knows, all of them; when one is not prepared any more, none and
-- an error (WB008). The rows are locked in the order of their ids, so that two callers cannot wait for each other.
create function :schema.half_commit_prepared(half_ids uuid[], by_whom text) returns void
language plpgsql set enable_seqscan = off
as $$
declare
  half_id uuid;
  how text;
begin
  perform from :schema.half_message h where h.id = any (half_ids) order by h.id for update;
  foreach half_id in array half_ids loop
    select d.outcome into how from :schema.half_decide(half_id, 2::smallint, by_whom, null, null, '{1}') d;
    if how <> 'done' then
      raise exception using errcode = 'WB008', message = format('half message %s is not prepared: %s', half_id, how);
    end if;
  end loop;
end
$$;

-- Claims half messages of a group that are due to be checked, for lease_ms milliseconds, the longest due first. The
-- lower bound keeps it from walking over what has been decided.
create function :schema.half_claim(of_group text, low timestamptz, most integer, lease_ms integer, by_checker text)
returns table (id uuid, lease_epoch bigint, checks integer, prepared_at timestamptz, "local" text, messages text,
               payloads bytea[], now_ms bigint)
language plpgsql
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  return query
  with due as materialized (
    select h.id from :schema.half_message h
     where h.producer_group = of_group and h.state = 1 and h.next_check_at >= low and h.next_check_at <= now_at
     order by h.next_check_at limit most for update skip locked
  )
  update :schema.half_message h
     set next_check_at = now_at + lease_ms * interval '1 millisecond', lease_epoch = h.lease_epoch + 1,
         claimed_by = by_checker
    from due d where h.id = d.id
  returning h.id, h.lease_epoch, h.checks, h.prepared_at, h."local"::text, h.messages::text, h.payloads,
            :schema.timer_ms(now_at);
end
$$;

-- Empties a slot of decided half messages when the newest in it is older than retention_ms. Checked behind the lock,
-- which is waited for at most 50 ms (55P03).
create function :schema.half_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  slot_name text := 'half_message_decided_s' || slot_number;
  needed boolean;
  filled boolean;
begin
  execute format('select exists (select from :schema.%I)', slot_name) into filled;
  if not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute format('select exists (select from :schema.%I d where d.decided_at > clock_timestamp() - $1)', slot_name)
    into needed using retention_ms * interval '1 millisecond';
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
end
$$;
`,
  },
  {
    number: 7,
    name: '0007-message-guard',
    breaking: false,
    checksum: 'cb2a3ce067246b66280ddee2e76a7c6312111f00041f6cb7ab23d6231b51a342',
    sql: `-- The message-id guard: what took effect under a message's id, and its result, in the database of the effect. For sources
-- that may send a message twice; what the log holds is known by its entry (0003) and needs no row here.

-- A ring of 16 slots of 8 days; a row lies in the slot of the time at which it was written. Rows are never updated, and
-- leave when every row of their slot is past keep_until. result is JSON; null when the work had none.
create table :schema.idempotent_message (
  slot        smallint not null,
  received_at timestamptz not null,
  keep_until  timestamptz not null,
  consumer    text not null,
  message_id  text not null,
  result      text
) partition by list (slot);

create unique index idempotent_message_id on :schema.idempotent_message (consumer, message_id, slot);
create index idempotent_message_keep on :schema.idempotent_message (keep_until);

-- The number of the 8 days that a time lies in; its slot is that modulo 16.
create function :schema.message_slot_number(at timestamptz) returns bigint
language sql immutable
as $$
  select floor(extract(epoch from at) / 691200)::bigint
$$;

-- A function per slot looks a message up in that slot only. One statement over the whole ring would lock every slot until
-- the transaction ends, also those that are to be emptied, and slow handlers would keep them from it for ever.
do $do$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.idempotent_message for values in (%s)
                      with (autovacuum_enabled = off)', 'idempotent_message_s' || slot, slot);
  end loop;
  execute format($f$
    create function :schema.message_look(low bigint, high bigint, of_consumer text, of_id text)
    returns table (found_result text, found_at timestamptz)
    language plpgsql set enable_seqscan = off set enable_bitmapscan = off
    as $body$
    begin
      for number in reverse high..low loop
        case number %% 16
        %s
        end case;
        if found then
          return next;
          return;
        end if;
      end loop;
    end
    $body$ $f$,
    (select string_agg(format('when %s then
          select m.result, m.received_at into found_result, found_at from :schema.%I m
           where m.consumer = of_consumer and m.message_id = of_id;', n, 'idempotent_message_s' || n), e'\\n        ')
       from generate_series(0, 15) n));
end
$do$;

-- Comes to a message's id, before its work. The id's lock comes first and is held until the transaction ends; whether the
-- message has been here is looked for behind it, in a later statement: a concurrent duplicate waits, at most wait_ms
-- (55P03), and then finds what the first has committed. wait_ms 0 does not wait.
-- judged_ms: the time by which the message is judged; null when nothing tells one. slack_ms: how far it may lie ahead.
-- outcome: new; duplicate; busy (somebody is at it); outside (judged_ms is not within the window, so that a row may have
-- been here and gone).
create function :schema.message_enter(of_consumer text, of_id text, judged_ms bigint, window_ms bigint, slack_ms bigint,
                                      wait_ms integer)
returns table (outcome text, result text, now_ms bigint)
language plpgsql
as $$
declare
  lock_key bigint := hashtextextended(of_id, hashtextextended(of_consumer, hashtext(':schema.message')));
  old_timeout text;
  now_at timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      'the transaction is %s, and would not see what a concurrent one has committed',
      upper(current_setting('transaction_isolation')));
  end if;
  if not pg_try_advisory_xact_lock(lock_key) then
    if wait_ms = 0 then
      outcome := 'busy';
      return next;
      return;
    end if;
    old_timeout := current_setting('lock_timeout');
    perform set_config('lock_timeout', wait_ms::text, true);
    perform pg_advisory_xact_lock(lock_key);
    perform set_config('lock_timeout', old_timeout, true);
  end if;

  now_at := clock_timestamp();
  now_ms := :schema.timer_ms(now_at);
  -- One slot further than the clock says: it may have been set back since.
  select 'duplicate', l.found_result into outcome, result
    from :schema.message_look(
           :schema.message_slot_number(now_at - (window_ms + slack_ms) * interval '1 millisecond'),
           :schema.message_slot_number(now_at) + 1, of_consumer, of_id) l;
  if not found then
    outcome := case when judged_ms < now_ms - window_ms or judged_ms > now_ms + slack_ms then 'outside' else 'new' end;
  end if;
  return next;
end
$$;

-- Keeps what came of a message, at the end of the transaction that entered it.
create function :schema.message_keep(of_consumer text, of_id text, keep_ms bigint, of_result text)
returns boolean
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  insert into :schema.idempotent_message (slot, received_at, keep_until, consumer, message_id, result)
  values ((:schema.message_slot_number(now_at) % 16)::smallint, now_at, now_at + keep_ms * interval '1 millisecond',
          of_consumer, of_id, of_result);
  return true;
end
$$;

-- Empties a slot when every row in it is past its time. Looks without a lock first, so that a slot that is needed costs
-- nothing, and again behind the lock, which is waited for at most 50 ms (55P03).
create function :schema.message_empty_slot(slot_number integer) returns boolean
language plpgsql set lock_timeout = '50ms' set enable_seqscan = off
as $$
declare
  slot_name text := 'idempotent_message_s' || slot_number;
  look text := format('select coalesce((select m.keep_until < clock_timestamp() from :schema.%I m
                                         order by m.keep_until desc limit 1), false)', slot_name);
  due boolean;
begin
  execute look into due;
  if not due then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  execute look into due;
  if due then
    execute format('truncate only :schema.%I', slot_name);
  end if;
  return due;
end
$$;
`,
  },
  {
    number: 8,
    name: '0008-effects',
    breaking: false,
    checksum: '9f34a78d9a83a3ea091388b17def7b33e231f4d74b610d73c9eccb1d681d6369',
    sql: `-- Guards for calls of distributed transactions, for work in no transaction, and for effects outside of any database: the
-- barrier as a ring with results, leases, external effects. All rows but those of a lease are written once and leave with
-- their slot; leases are few at any time, and go when their work ends.

-- The number of a UUIDv7's milliseconds. Other ids give nonsense.
create function :schema.uuid_ms(id uuid) returns bigint
language sql immutable strict
as $$ select ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint $$;

-- The slot of a barrier's gid: 16 slots of 8 days, by the time in the id.
create function :schema.barrier_slot_at(made_ms bigint) returns smallint
language sql immutable strict
as $$ select (made_ms / 691200000 % 16)::smallint $$;

-- One row for what happened first under a name, in the database of the business rows: the operation itself (reason is
-- op), or what keeps it from happening (reason is what was there first).
alter table :schema.barrier rename to barrier_0006;
alter index :schema.barrier_pkey rename to barrier_0006_pkey;

create table :schema.barrier (
  slot       smallint not null,
  gid        uuid not null,
  branch     text not null,
  op         text not null,
  reason     text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (slot, gid, branch, op)
) partition by list (slot);

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
-- lease_until nobody else does. Written and on disk before that begins. 16 slots of 8 days.
create table :schema.external_effect (
  slot         smallint not null,
  key          text not null,
  fence        bigint not null,
  lease_until  timestamptz not null,
  attempted_at timestamptz not null default clock_timestamp()
) partition by list (slot);

create index external_effect_key on :schema.external_effect (key, fence);

-- What is known for good. tombstone: it has not happened and must not. A tombstone may be followed by a done, when a
-- call came through after all.
create table :schema.external_effect_outcome (
  slot       smallint not null,
  key        text not null,
  state      text not null check (state in ('done', 'refused', 'tombstone')),
  outcome    text,
  decided_at timestamptz not null default clock_timestamp()
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

-- The slot of a gid, or an error (WB020) when the barrier cannot know it: it is no UUIDv7, is older than the retention,
-- or lies more than a day ahead. A gid that the ring has forgotten must never be taken as new.
create function :schema.barrier_slot(of_gid text, retention_ms bigint) returns smallint
language plpgsql
as $$
declare
  now_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000);
  made_ms bigint;
begin
  if of_gid !~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s is no UUID of version 7: make it by newId()', left(of_gid, 100));
  end if;
  made_ms := :schema.uuid_ms(of_gid::uuid);
  if made_ms < now_ms - least(retention_ms, 90 * 86400000::bigint) then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s was made %s hours ago, and the barrier remembers the last %s: whether it has happened is to be found '
      'out by hand', of_gid, (now_ms - made_ms) / 3600000, retention_ms / 3600000);
  end if;
  if made_ms > now_ms + 86400000 then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s was made more than a day ahead of this database''s clock: set the clock of its maker', of_gid);
  end if;
  return :schema.barrier_slot_at(made_ms);
end
$$;

create or replace function :schema.barrier_pass(of_gid text, of_branch text, of_op text) returns boolean
language plpgsql
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 90 * 86400000::bigint);
begin
  perform :schema.commit_to_disk();
  insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, of_op, of_op)
  on conflict do nothing;
  return found;
end
$$;

create or replace function :schema.barrier_tombstone(of_gid text, of_branch text, of_op text, of_reason text, wait_ms integer)
returns text
language plpgsql
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 90 * 86400000::bigint);
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

-- Passes the barrier with an operation of a distributed transaction, as the first write of its transaction. origin is
-- what the operation takes back (null: nothing): it is inserted first, so that it can never come after it. Everybody
-- inserts in this order, so nobody waits in a circle. A transaction that is just here is waited for, at most wait_ms
-- (55P03). In READ COMMITTED the later statements see what it left; with a fixed snapshot the insert fails by itself (40001).
-- Only the gid's own slot is named: a plan over the ring would lock all slots to the end of the transaction, and none could
-- be emptied.
-- outcome: done (do it now); duplicate (it has been done; result is what it came to); empty (what it takes back has not
-- happened, and will not); refused (it came behind what takes it back).
create function :schema.barrier_call(
  of_gid text, of_branch text, of_op text, origin text, wait_ms integer, retention_ms bigint)
returns table (outcome text, result text)
language plpgsql
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, retention_ms);
  timeout_before text := current_setting('lock_timeout');
  first_reason text;
  first_result text;
  unknown_origin boolean := false;
begin
  perform :schema.commit_to_disk();
  perform set_config('lock_timeout', wait_ms::text, true);
  if origin is not null then
    insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, origin, of_op)
    on conflict do nothing;
    unknown_origin := found;
    if not found then
      execute format('select b.reason = ''rejected'' from :schema.%I b
                       where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4', 'barrier_s' || in_slot)
        into unknown_origin using in_slot, of_gid::uuid, of_branch, origin;
    end if;
  end if;
  insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, of_op, of_op)
  on conflict do nothing;
  if found then
    perform set_config('lock_timeout', timeout_before, true);
    return query select case when unknown_origin then 'empty' else 'done' end, null::text;
    return;
  end if;
  perform set_config('lock_timeout', timeout_before, true);
  -- What the answer rests upon is on disk before this transaction is.
  perform pg_logical_emit_message(true, ':schema', '');
  execute format('select b.reason, (select r.result from :schema.%I r
                                    where r.slot = $1 and r.gid = $2 and r.branch = $3 and r.op = $4)
                    from :schema.%I b where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4',
                 'barrier_result_s' || in_slot, 'barrier_s' || in_slot)
    into first_reason, first_result using in_slot, of_gid::uuid, of_branch, of_op;
  return query select case when first_reason = of_op then 'duplicate' else 'refused' end, first_result;
end
$$;

-- Keeps what an operation has come to.
create function :schema.barrier_keep(of_gid text, of_branch text, of_op text, of_result text) returns void
language sql
as $$
  insert into :schema.barrier_result (slot, gid, branch, op, result)
  values (:schema.barrier_slot_at(:schema.uuid_ms(of_gid::uuid)), of_gid::uuid, of_branch, of_op, of_result);
$$;

-- Fails the current transaction, so that it cannot commit the barrier's row without the work.
create function :schema.barrier_abandon() returns void
language plpgsql
as $$
begin
  raise exception using errcode = 'WB021', message = 'the work behind a barrier has failed';
end
$$;

-- Empties a slot of the barrier when every gid in it is older than 90 days and an hour, whatever retention callers ask
-- for: a gid that can still be accepted is never forgotten. Fails with 55P03 when the lock is not to be had within 50 ms.
create function :schema.barrier_empty_slot(slot_number integer) returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  slot_name text := 'barrier_s' || slot_number;
  result_name text := 'barrier_result_s' || slot_number;
  oldest_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000) - 90 * 86400000::bigint - 3600000;
  oldest uuid := (lpad(to_hex(oldest_ms), 12, '0') || repeat('0', 20))::uuid;
  needed boolean;
  filled boolean;
begin
  execute format('select exists (select from :schema.%I), exists (select from :schema.%1$I b where b.slot = $1 and b.gid >= $2)',
                 slot_name) into filled, needed using slot_number, oldest;
  if needed or not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I, only :schema.%I in access exclusive mode', slot_name, result_name);
  execute format('select exists (select from :schema.%I b where b.slot = $1 and b.gid >= $2)', slot_name)
    into needed using slot_number, oldest;
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I, only :schema.%I', slot_name, result_name);
  return true;
end
$$;

-- Orders everybody who is at one name; what others have decided is looked for behind it, in a later statement, for which
-- the transaction must be READ COMMITTED (WB009). Callers hold it for their one statement only.
create function :schema.guard_lock(of_name text) returns void
language plpgsql
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
language plpgsql set lock_timeout = '5s' set enable_seqscan = off
as $$
declare
  now_at timestamptz;
  done record;
  held record;
  own_fence bigint;
begin
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
language plpgsql set lock_timeout = '5s' set enable_seqscan = off
as $$
declare
  done_fence bigint;
  of_fingerprint text;
  forget_at timestamptz := clock_timestamp() + window_ms * interval '1 millisecond';
begin
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
language plpgsql set lock_timeout = '50ms'
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
`,
  },
  {
    number: 9,
    name: '0009-external-effects',
    breaking: false,
    checksum: '01419304e31a054346a26eddd4e589edaeaaf5be0126140f54807cbbd176d62b',
    sql: `-- What is done with external effects; their tables are those of 0008.

-- The slot of the external effects that are written now.
create function :schema.effect_slot() returns smallint
language sql volatile
as $$ select (floor(extract(epoch from clock_timestamp()) / 691200)::bigint % 16)::smallint $$;

-- Begins with an external effect, or with taking it back. state: attempt (call now, under fence); ask (somebody has
-- attempted it and has not said how it ended: ask about it now, under fence); in-progress (somebody is at it, for at most
-- retry_ms more); done, refused, tombstone. Taking back what nobody has attempted leaves a tombstone. Of a done behind a
-- tombstone, those who take it back see the done, and others the tombstone.
create function :schema.effect_begin(of_key text, lease_ms bigint, undoing boolean)
returns table (state text, fence bigint, retry_ms bigint, outcome text)
language plpgsql set lock_timeout = '5s' set enable_seqscan = off
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
language plpgsql set lock_timeout = '5s' set enable_seqscan = off
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
language plpgsql set lock_timeout = '5s' set enable_seqscan = off
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
language plpgsql set lock_timeout = '50ms' set enable_seqscan = off
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
  },
  {
    number: 10,
    name: '0010-saga',
    breaking: false,
    checksum: '74fb1b80a9b73cfe13ddb25ac43d66019290b52412a85982f4bcc7a70a8b99ba',
    sql: `-- Sagas: those under way, those that have ended, what happened to each, and what participants hold for them.

-- Those under way. state: 1 running, 2 compensating, 3 stuck; an ended child (4 completed, 5 compensated, 6 cancelled)
-- stays until its parent has ended, because the parent may want it undone. reply_topic: where answers to it go; the
-- service that reads it carries the saga on. content: data, steps, signals and the like, as the machine reads them; times
-- in it count from started_at. wake_at: when something is due; it may be early, never late: a transition leaves it alone
-- when it can, so that its update needs no new index entry.
create table :schema.saga (
  id                 uuid primary key,
  saga_type          text not null,
  definition_version integer not null,
  saga_key           text not null,
  reply_topic        text not null,
  state              smallint not null check (state between 1 and 6),
  revision           bigint not null default 1,
  started_at         timestamptz not null,
  changed_at         timestamptz not null,
  wake_at            timestamptz,
  parent_id          uuid,
  parent_step        text,
  reason             text,
  content            json not null
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

create unique index saga_key on :schema.saga (saga_type, saga_key);
create index saga_wake on :schema.saga (reply_topic, wake_at) where wake_at is not null;
create index saga_stuck on :schema.saga (id) where state = 3;
create index saga_child on :schema.saga (parent_id) where parent_id is not null;

-- The slot of everything that is kept about a saga: 16 slots of 4 days, by the time in its id (UUIDv7, RFC 9562).
create function :schema.saga_slot(saga_id uuid) returns smallint
language sql immutable
as $$
  select (:schema.uuid_ms(saga_id) / 345600000 % 16)::smallint
$$;

-- The ended ones.
create table :schema.saga_ended (
  slot               smallint not null,
  id                 uuid not null,
  saga_type          text not null,
  definition_version integer not null,
  saga_key           text not null,
  reply_topic        text not null,
  state              smallint not null check (state between 4 and 6),
  revision           bigint not null,
  started_at         timestamptz not null,
  ended_at           timestamptz not null,
  parent_id          uuid,
  parent_step        text,
  reason             text,
  content            json not null,
  primary key (slot, id)
) partition by list (slot);

create index saga_ended_key on :schema.saga_ended (saga_type, saga_key);
create index saga_ended_child on :schema.saga_ended (parent_id) where parent_id is not null;

-- One row for each transition: the event that came, and what was done for it.
create table :schema.saga_transition (
  slot     smallint not null,
  saga_id  uuid not null,
  revision bigint not null,
  at       timestamptz not null default clock_timestamp(),
  state    smallint not null,
  content  json not null,
  primary key (slot, saga_id, revision)
) partition by list (slot);

do $$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.saga_ended for values in (%s)
                      with (autovacuum_enabled = off)', 'saga_ended_s' || slot, slot);
    execute format('create table :schema.%I partition of :schema.saga_transition for values in (%s)
                      with (autovacuum_enabled = off)', 'saga_transition_s' || slot, slot);
  end loop;
end
$$;

-- Begins a saga, unless there is one of its type and key, under way or ended: then that one is named. The insert takes
-- the key; the ended ones are looked for behind it, in a later statement.
create function :schema.saga_start(
  saga_id uuid, of_type text, of_version integer, of_key text, to_topic text, in_state smallint, wake_ms bigint,
  of_parent uuid, of_parent_step text, why text, of_content json, of_transition json)
returns table (id uuid, created boolean)
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  insert into :schema.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at,
                            wake_at, parent_id, parent_step, reason, content)
  values (saga_id, of_type, of_version, of_key, to_topic, in_state, now_at, now_at,
          now_at + wake_ms * interval '1 millisecond', of_parent, of_parent_step, why, of_content)
  on conflict (saga_type, saga_key) do nothing;
  if not found then
    return query select s.id, false from :schema.saga s where s.saga_type = of_type and s.saga_key = of_key
                 union all
                 select e.id, false from :schema.saga_ended e where e.saga_type = of_type and e.saga_key = of_key;
    return;
  end if;
  return query select e.id, false from :schema.saga_ended e where e.saga_type = of_type and e.saga_key = of_key;
  if found then
    delete from :schema.saga s where s.id = saga_id;
    return;
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, 1, now_at, in_state, of_transition);
  return query select saga_id, true;
end
$$;

-- Writes a transition: the saga as it is now, and what happened. False when another transition was faster.
-- exactly: whether wake_at is set as it is, not left where it would only be early.
create function :schema.saga_save(
  saga_id uuid, from_revision bigint, in_state smallint, wake_ms bigint, exactly boolean, why text, of_content json,
  of_transition json)
returns boolean
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  update :schema.saga s
     set revision = s.revision + 1, state = in_state, changed_at = now_at, reason = why, content = of_content,
         wake_at = case
           when exactly or s.wake_at is null or s.started_at + wake_ms * interval '1 millisecond' < s.wake_at
             then s.started_at + wake_ms * interval '1 millisecond'
           else s.wake_at
         end
   where s.id = saga_id and s.revision = from_revision;
  if not found then
    return false;
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, from_revision + 1, now_at, in_state, of_transition);
  return true;
end
$$;

-- Writes the last transition of a saga, and puts it and its ended children to the ended ones. False as in saga_save.
create function :schema.saga_end(
  of_saga uuid, from_revision bigint, in_state smallint, why text, of_content json, of_transition json)
returns boolean
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
  done :schema.saga;
begin
  delete from :schema.saga s where s.id = of_saga and s.revision = from_revision returning s.* into done;
  if not found then
    return false;
  end if;
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  values (:schema.saga_slot(of_saga), of_saga, done.saga_type, done.definition_version, done.saga_key,
          done.reply_topic, in_state, from_revision + 1, done.started_at, now_at, done.parent_id, done.parent_step, why,
          of_content);
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(of_saga), of_saga, from_revision + 1, now_at, in_state, of_transition);
  with recursive children as (
    select s.id from :schema.saga s where s.parent_id = of_saga and s.state >= 4
    union all
    select s.id from :schema.saga s join children c on s.parent_id = c.id where s.state >= 4
  ), gone as (
    delete from :schema.saga s using children c where s.id = c.id returning s.*
  )
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state,
         g.revision, g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
    from gone g;
  return true;
end
$$;

-- Empties a slot of the ended sagas and of what happened to them, when all of it is older than keep_ms and no saga that
-- began in its days is under way. Fails with 55P03 when the locks are not to be had within 50 ms.
create function :schema.saga_empty_slot(slot_number integer, keep_ms bigint) returns boolean
language plpgsql set lock_timeout = '50ms'
as $$
declare
  ended text := 'saga_ended_s' || slot_number;
  transitions text := 'saga_transition_s' || slot_number;
  horizon timestamptz := clock_timestamp() - keep_ms * interval '1 millisecond';
  needed boolean;
  filled boolean;
begin
  execute format('select exists (select from :schema.%I)', transitions) into filled;
  if not filled then
    return false;
  end if;
  for pass in 1..2 loop
    execute format(
      'select exists (select from :schema.%I e where e.ended_at >= $1)
           or exists (select from :schema.%I t where t.at >= $1)
           or exists (select from :schema.saga s where :schema.saga_slot(s.id) = $2)', ended, transitions)
      into needed using horizon, slot_number::smallint;
    if needed then
      return false;
    end if;
    if pass = 1 then
      execute format('lock table only :schema.%I, only :schema.%I in access exclusive mode', ended, transitions);
    end if;
  end loop;
  execute format('truncate only :schema.%I, only :schema.%I', ended, transitions);
  return true;
end
$$;

-- What participants hold for sagas, in the participant's database: an entity is one saga's until it lets go.
create table :schema.saga_lock (
  entity    text primary key,
  saga_id   uuid not null,
  branch    text not null,
  locked_at timestamptz not null default clock_timestamp()
);

create index saga_lock_saga on :schema.saga_lock (saga_id);

-- Commands that wait for an entity that is another saga's, in the order in which they came.
create table :schema.saga_stash (
  id          bigint generated always as identity primary key,
  entity      text not null,
  expires_at  timestamptz not null,
  topic       text not null,
  message_key text,
  headers     json not null,
  payload     bytea
);

create index saga_stash_entity on :schema.saga_stash (entity, id);
create index saga_stash_expires on :schema.saga_stash (expires_at);

-- Holds an entity for a saga. False when it is another's: then that one's row is locked until this transaction ends, so
-- that a release comes before the look, or waits and finds what was stashed.
create function :schema.saga_hold(of_entity text, of_saga uuid, of_branch text) returns boolean
language plpgsql
as $$
declare
  holder uuid;
begin
  loop
    insert into :schema.saga_lock (entity, saga_id, branch) values (of_entity, of_saga, of_branch)
    on conflict (entity) do nothing;
    if found then
      return true;
    end if;
    select l.saga_id into holder from :schema.saga_lock l where l.entity = of_entity for update;
    if found then
      return holder = of_saga;
    end if;
  end loop;
end
$$;

-- Keeps a command until the entity is free; false when as many wait already.
create function :schema.saga_stash_command(
  of_entity text, most integer, wait_ms bigint, to_topic text, of_key text, of_headers json, of_payload bytea)
returns boolean
language plpgsql
as $$
begin
  if (select count(*) from (select from :schema.saga_stash s where s.entity = of_entity limit most) w) >= most then
    return false;
  end if;
  insert into :schema.saga_stash (entity, expires_at, topic, message_key, headers, payload)
  values (of_entity, clock_timestamp() + wait_ms * interval '1 millisecond', to_topic, of_key, of_headers, of_payload);
  return true;
end
$$;

-- Lets go what a saga holds: one entity, what one branch of it has taken, or all. Hands out the commands that waited.
create function :schema.saga_release(of_saga uuid, of_branch text, of_entity text)
returns table (topic text, message_key text, headers text, payload bytea)
language plpgsql
as $$
declare
  freed text[];
begin
  with gone as (
    delete from :schema.saga_lock l
     where l.saga_id = of_saga and (of_branch is null or l.branch = of_branch)
       and (of_entity is null or l.entity = of_entity)
    returning l.entity
  )
  select array_agg(g.entity) into freed from gone g;
  return query
    with woken as (
      delete from :schema.saga_stash s where s.entity = any (freed)
      returning s.id, s.topic, s.message_key, s.headers::text as headers, s.payload
    )
    select w.topic, w.message_key, w.headers, w.payload from woken w order by w.id;
end
$$;
`,
  },
  {
    number: 11,
    name: '0011-saga-transitions',
    breaking: false,
    checksum: '4305238e8c8621ad1e2f55797c6f1b4865d0ef3774dd44a8dcefdb7d41f8b92e',
    sql: `-- A transition of a saga is sent without waiting for an answer: what must not be is an error now, where it was an answer.

create function :schema.saga_overtaken(saga_id uuid, from_revision bigint) returns void
language plpgsql
as $$
begin
  raise exception using errcode = 'XX000', message = format(
    'saga %s is not at revision %s any more, in spite of its lock', saga_id, from_revision);
end
$$;

-- Writes a transition: the saga as it is now, and what happened. Fails when another transition was faster.
-- exactly: whether wake_at is set as it is, not left where it would only be early.
create or replace function :schema.saga_save(
  saga_id uuid, from_revision bigint, in_state smallint, wake_ms bigint, exactly boolean, why text, of_content json,
  of_transition json)
returns boolean
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  update :schema.saga s
     set revision = s.revision + 1, state = in_state, changed_at = now_at, reason = why, content = of_content,
         wake_at = case
           when exactly or s.wake_at is null or s.started_at + wake_ms * interval '1 millisecond' < s.wake_at
             then s.started_at + wake_ms * interval '1 millisecond'
           else s.wake_at
         end
   where s.id = saga_id and s.revision = from_revision;
  if not found then
    perform :schema.saga_overtaken(saga_id, from_revision);
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, from_revision + 1, now_at, in_state, of_transition);
  return true;
end
$$;

-- Writes the last transition of a saga, and puts it and its ended children to the ended ones. Fails as saga_save.
create or replace function :schema.saga_end(
  of_saga uuid, from_revision bigint, in_state smallint, why text, of_content json, of_transition json)
returns boolean
language plpgsql
as $$
declare
  now_at timestamptz := clock_timestamp();
  done :schema.saga;
begin
  delete from :schema.saga s where s.id = of_saga and s.revision = from_revision returning s.* into done;
  if not found then
    perform :schema.saga_overtaken(of_saga, from_revision);
  end if;
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  values (:schema.saga_slot(of_saga), of_saga, done.saga_type, done.definition_version, done.saga_key,
          done.reply_topic, in_state, from_revision + 1, done.started_at, now_at, done.parent_id, done.parent_step, why,
          of_content);
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(of_saga), of_saga, from_revision + 1, now_at, in_state, of_transition);
  with recursive children as (
    select s.id from :schema.saga s where s.parent_id = of_saga and s.state >= 4
    union all
    select s.id from :schema.saga s join children c on s.parent_id = c.id where s.state >= 4
  ), gone as (
    delete from :schema.saga s using children c where s.id = c.id returning s.*
  )
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state,
         g.revision, g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
    from gone g;
  return true;
end
$$;
`,
  },
];
