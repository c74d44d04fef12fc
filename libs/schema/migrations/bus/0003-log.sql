-- The partitioned log: topics, their partitions, record batches in a ring of buckets.
--
-- A bucket of the ring is one partition of log_batch (its slot). Appends go to the newest bucket; a bucket
-- is emptied by TRUNCATE when all its records are past retention. log_segment is the small map from offsets to
-- buckets; log_floor stores the next offset of a partition whose buckets are all gone.

create table :schema.topic (
  id              integer generated always as identity primary key,
  name            text not null unique
                  check (name ~ '^[A-Za-z0-9._-]{1,249}$' and name not in ('.', '..')),
  partition_count integer not null check (partition_count between 1 and 4096),
  retention_ms    bigint not null check (retention_ms > 0),
  on_dead_letter  text not null default 'unblock' check (on_dead_letter in ('unblock', 'park', 'block')),
  on_expired      text not null default 'dead-letter' check (on_expired in ('dead-letter', 'drop')),
  -- Limits for the backlog in a service's outbox; null: none.
  backlog_max_messages bigint check (backlog_max_messages > 0),
  backlog_max_bytes    bigint check (backlog_max_bytes > 0),
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

-- The next offset of a partition. The caller holds the partition's append lock. A segment without a batch continues
-- at its first offset; only a partition that has never had a record begins at 0.
create function :schema.log_next_offset(for_partition integer) returns bigint
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
  found_offset bigint;
begin
  select s.slot, s.first_offset into newest
    from :schema.log_segment s where s.partition_id = for_partition
   order by s.bucket_seq desc limit 1;
  if found then
    select b.last_offset + 1 into found_offset
      from :schema.log_batch b where b.slot = newest.slot and b.partition_id = for_partition
     order by b.last_offset desc limit 1;
    return coalesce(found_offset, newest.first_offset);
  end if;
  select f.next_offset into found_offset from :schema.log_floor f where f.partition_id = for_partition;
  return coalesce(found_offset, 0);
end
$$;

-- Appends record batches and numbers their records; the last statement of its transaction.
-- The batches are concatenated in all_data, partitions ascending. Order by lock, then look: the locks
-- are taken in separate statements, so every read after them sees what earlier appenders have committed.
-- A batch of a producer that is already in the log (same first sequence) is not appended again: its offset is returned.
create function :schema.log_append(
  partition_ids integer[], record_counts integer[], byte_lengths integer[], max_timestamps bigint[],
  base_sequences integer[], all_data bytea, by_producer bigint, synchronous text)
returns table (appended_partition integer, appended_offset bigint)
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
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
  perform :schema.acl_assert_append(partition_ids);
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
    end if;

    known_sequence := null;
    if by_producer >= 0 then
      select b.base_sequence, b.base_offset into known_sequence, known_offset from :schema.log_batch b
       where b.partition_id = current_partition and b.producer_id = by_producer
         and b.base_sequence >= base_sequences[i]
       order by b.base_sequence limit 1;
    end if;
    if known_sequence is null then
      -- Only for appended batches: one that is found again adds no segment to the newest bucket.
      if newest_seq is distinct from bucket.seq then
        insert into :schema.log_segment (partition_id, bucket_seq, slot, first_offset)
        values (current_partition, bucket.seq, bucket.slot, next_offset);
        newest_seq := bucket.seq;
      end if;
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

-- Opens the next bucket of the ring when the newest has been open for bucket_ms. Returns false if nothing was
-- to do, and fails with 55P03 when appends hold the structure lock for longer than 50 ms. A restricted login opens one a day
-- at most: on a bus all of whose logins are restricted the ring turns, and none of them can fill it.
-- While the next slot is still in use, the newest bucket stays open and grows: nothing is lost.
create function :schema.log_open_bucket(bucket_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
  least_ms bigint := case when :schema.acl_open() then bucket_ms else greatest(bucket_ms, 86400000) end;
begin
  perform pg_advisory_xact_lock(hashtext(':schema.structure'), 0);
  select b.seq, b.slot, b.opened_at into newest from :schema.log_bucket b order by b.seq desc limit 1;
  if newest.opened_at > clock_timestamp() - least_ms * interval '1 millisecond' then
    return false;
  end if;
  if exists (select from :schema.log_bucket b where b.slot = (newest.slot + 1) % 9) then
    return false;
  end if;
  insert into :schema.log_bucket (seq, slot) values (newest.seq + 1, (newest.slot + 1) % 9);
  return true;
end
$$;

-- Empties the oldest bucket if all its records are past the longest retention of any topic. Never the newest.
-- The check follows the locks: its result can no longer change.
create function :schema.log_drop_bucket() returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
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

-- The start and end of each partition's log. The end is the offset that the next record will get.
create function :schema.log_offsets(partition_ids integer[])
returns table (of_partition integer, start_offset bigint, end_offset bigint)
language plpgsql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
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

-- Appending is publishing: raises unless the session may publish to the topic of every partition.
create function :schema.acl_assert_append(partition_ids integer[]) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    perform :schema.acl_assert_publish(t.name)
       from (select distinct p.topic_id from :schema.topic_partition p where p.id = any (partition_ids)) w
       join :schema.topic t on t.id = w.topic_id;
  end if;
end
$$;

-- Creates a topic with its partitions; an existing one is left unchanged.
create function :schema.topic_create(topic_name text, partitions integer, keep_ms bigint, dead_letters text, expired text,
                                     backlog_messages bigint default null, backlog_bytes bigint default null)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  new_id integer;
begin
  perform from :schema.topic t where t.name = topic_name;
  if found then
    return;
  end if;
  if not :schema.acl_knows_topic(topic_name) then
    raise exception using errcode = 'WB040', detail = topic_name, message = format(
      'login %s may not create topic %s', session_user, topic_name);
  end if;
  insert into :schema.topic as t (name, partition_count, retention_ms, on_dead_letter, on_expired,
                                  backlog_max_messages, backlog_max_bytes)
  values (topic_name, partitions, keep_ms, dead_letters, expired, backlog_messages, backlog_bytes)
  on conflict (name) do nothing
  returning t.id into new_id;
  insert into :schema.topic_partition (topic_id, number)
  select new_id, n.number from generate_series(0, partitions - 1) as n (number) where new_id is not null;
end
$$;
