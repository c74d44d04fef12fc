-- The progress of consumer groups, which decides about effects: owners of partitions, positions, marks, charges for
-- crashes, parked messages, dead letters.

-- One row per (group, partition), changed only when the partition changes hands: the fence. owner_epoch is this
-- database's own counter. grant_epoch is the bus's, in log_epoch; it is compared with older ones, and decides nothing else.
create table :schema.progress_owner (
  group_id     integer not null references :schema.consumer_group (id),
  partition_id integer not null references :schema.topic_partition (id),
  owner_epoch  bigint not null,
  grant_epoch  bigint not null,
  log_epoch    bigint not null,
  member_id    uuid not null,
  taken_at     timestamptz not null default clock_timestamp(),
  primary key (group_id, partition_id)
);

create sequence :schema.position_id as bigint;

-- Every offset below position is done. Records from position up to in_flight_end may have been begun. The newest is the
-- one of the highest owner epoch and, in it, the highest position: a statement of an owner may be executed late.
-- log_epoch: the history of the log in which the records were read. checksum: of the batch that holds the record before the
-- position, by which a log that lost records and took others is told; null if not known.
create table :schema.consumer_position (
  slot          smallint not null
                default (floor(extract(epoch from clock_timestamp()) / 3600)::bigint % 4)::smallint,
  id            bigint not null default nextval(':schema.position_id'),
  group_id      integer not null,
  partition_id  integer not null,
  owner_epoch   bigint not null default 0,
  position      bigint not null,
  in_flight_end bigint not null,
  log_epoch     bigint not null default 1,
  checksum      bigint,
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

-- Raises unless the caller runs at READ COMMITTED: at the other levels a statement does not see what was committed while
-- it waited for a lock.
create function :schema.assert_read_committed(doing text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      '%s needs a transaction at read committed, and this one is at %s', doing, current_setting('transaction_isolation'));
  end if;
end
$$;

-- Takes partitions for a member by the bus's grants: no row for those of which this database knows the same or a newer
-- grant. Waits for deliveries whose fence holds the row, for 3 seconds at most (55P03). The caller commits, and reads the
-- progress in a later transaction.
create function :schema.progress_take(of_group integer, partition_ids integer[], grants bigint[], by_member uuid,
                                      in_log_epoch bigint)
returns table (of_partition integer, new_epoch bigint)
language plpgsql set lock_timeout = '3s' set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.assert_read_committed('taking a partition');
  perform :schema.commit_to_disk();
  return query
  insert into :schema.progress_owner as o (group_id, partition_id, owner_epoch, grant_epoch, log_epoch, member_id)
  select of_group, w.id, 1, w.epoch, in_log_epoch, by_member
    from unnest(partition_ids, grants) as w (id, epoch) order by w.id
  on conflict (group_id, partition_id) do update
     set owner_epoch = o.owner_epoch + 1, grant_epoch = excluded.grant_epoch, log_epoch = excluded.log_epoch,
         member_id = excluded.member_id, taken_at = excluded.taken_at
   where o.grant_epoch < excluded.grant_epoch
  returning o.partition_id, o.owner_epoch;
end
$$;

-- Takes one partition whatever its grant was, if it is still in that owner epoch: the bus, asked after that was read, says
-- that the grant holds. It went back, or has numbered its grants from the start.
create function :schema.progress_retake(of_group integer, of_partition integer, in_epoch bigint, granted bigint, by_member uuid,
                                        in_log_epoch bigint) returns bigint
language plpgsql set lock_timeout = '3s' set search_path = pg_catalog, pg_temp
as $$
declare
  new_epoch bigint;
begin
  perform :schema.assert_read_committed('taking a partition');
  perform :schema.commit_to_disk();
  update :schema.progress_owner o
     set owner_epoch = o.owner_epoch + 1, grant_epoch = granted, log_epoch = in_log_epoch, member_id = by_member,
         taken_at = clock_timestamp()
   where o.group_id = of_group and o.partition_id = of_partition and o.owner_epoch = in_epoch
  returning o.owner_epoch into new_epoch;
  return new_epoch;
end
$$;

-- Raises unless the partition is in this owner epoch, and the server the one on which its owner has read the progress: a
-- standby that was promoted may lack the last of what that owner has committed, while the epoch is the same. The share lock
-- keeps it from changing hands until the transaction ends. The last statement before COMMIT; it evaluates no policy.
-- What is committed is on disk: the owner goes on in memory from there, and a session that crashes takes the server's last
-- asynchronous commits with it, without a new start time.
create function :schema.fence(of_group integer, of_partition integer, in_epoch bigint, on_server bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if on_server <> :schema.incarnation() then
    raise exception using errcode = 'WB003',
      message = format('partition %s was taken before this server was started', of_partition);
  end if;
  perform from :schema.progress_owner o
   where o.group_id = of_group and o.partition_id = of_partition and o.owner_epoch = in_epoch
     for share;
  if not found then
    raise exception using errcode = 'WB003',
      message = format('partition %s has another owner than that of epoch %s', of_partition, in_epoch);
  end if;
  perform :schema.commit_to_disk();
end
$$;

-- Stores a position under the fence.
create function :schema.advance(of_group integer, of_partition integer, in_epoch bigint, new_position bigint,
                                new_in_flight_end bigint, in_log_epoch bigint, new_checksum bigint, on_server bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  insert into :schema.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end, log_epoch, checksum)
  values (of_group, of_partition, in_epoch, new_position, new_in_flight_end, in_log_epoch, new_checksum);
  perform :schema.fence(of_group, of_partition, in_epoch, on_server);
end
$$;

-- Stores where a group begins in partitions, with nothing in flight, under the fence of each. If one has another owner, or
-- its row is locked, all of it fails: a batch never waits.
create function :schema.progress_begin(of_group integer, partition_ids integer[], in_epochs bigint[], new_positions bigint[],
                                       in_log_epoch bigint, on_servers bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  held bigint;
begin
  insert into :schema.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end, log_epoch)
  select of_group, w.id, w.epoch, w.position, w.position, in_log_epoch
    from unnest(partition_ids, in_epochs, new_positions) as w (id, epoch, position);

  perform from unnest(partition_ids, in_epochs, on_servers) as w (id, epoch, server)
    join :schema.progress_owner o on o.group_id = of_group and o.partition_id = w.id and o.owner_epoch = w.epoch
                                 and w.server = :schema.incarnation()
     for share of o nowait;
  get diagnostics held = row_count;
  if held <> cardinality(partition_ids) then
    raise exception using errcode = 'WB003',
      message = format('%s of %s partitions have another owner', cardinality(partition_ids) - held, cardinality(partition_ids));
  end if;
  perform :schema.commit_to_disk();
end
$$;

-- Takes a group over into a newer history of the log, which lost its records from the cut on and holds them at other
-- offsets now, so that they come again: what is known of records from the cut on is about those of before. Their messages
-- that are parked or dead stay, at negative offsets: before all others of their keys, the older histories first. Under the
-- fence, in an owner epoch in which no position was stored. Returns the position.
create function :schema.progress_rewind(of_group integer, of_partition integer, in_epoch bigint, in_log_epoch bigint,
                                        from_cut bigint, on_server bigint) returns bigint
language plpgsql set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  -- An offset is below 2^40, and a history has less than 2^13 predecessors: the numbers stay exact in every client.
  away bigint := (8191 - least(in_log_epoch, 8190)) << 40;
  stored record;
begin
  select p.position, p.checksum into stored from :schema.consumer_position p
   where p.group_id = of_group and p.partition_id = of_partition
   order by p.owner_epoch desc, p.position desc, p.id desc limit 1;
  delete from :schema.delivery_mark m
   where m.group_id = of_group and m.partition_id = of_partition and m.log_offset >= from_cut;
  delete from :schema.crash_charge c
   where c.group_id = of_group and c.partition_id = of_partition and c.log_offset >= from_cut;
  update :schema.parked_message m set log_offset = m.log_offset - away
   where m.group_id = of_group and m.partition_id = of_partition and m.log_offset >= from_cut;
  update :schema.dead_letter d set log_offset = d.log_offset - away
   where d.group_id = of_group and d.partition_id = of_partition and d.log_offset >= from_cut;
  insert into :schema.consumer_position (group_id, partition_id, owner_epoch, position, in_flight_end, log_epoch, checksum)
  values (of_group, of_partition, in_epoch, least(stored.position, from_cut), least(stored.position, from_cut), in_log_epoch,
          case when stored.position <= from_cut then stored.checksum end);
  perform :schema.fence(of_group, of_partition, in_epoch, on_server);
  return least(stored.position, from_cut);
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

  insert into :schema.consumer_position (slot, id, group_id, partition_id, owner_epoch, position, in_flight_end, log_epoch,
                                         checksum, stored_at)
  select current_slot, p.id, p.group_id, p.partition_id, p.owner_epoch, p.position, p.in_flight_end, p.log_epoch, p.checksum,
         p.stored_at
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
