// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0003: Migration = {
  number: 3,
  name: '0003-service',
  breaking: false,
  checksum: 'ff5ed9c1b4d5fd6a2cd9f011c3b0a1065dd0b9363763a16e46d7a3b2b75f22fe',
  sql: `-- The service that this database belongs to, and what it knows of its bus: topics and consumer groups.

-- One row. The id names the service on every bus, and is made once. bus_id is the bus that it is bound to since its first
-- contact with one, log_epoch the epoch of the bus's log in which all that the service has handed over is there.
create table :schema.service (
  single boolean primary key default true check (single),
  id     uuid not null default gen_random_uuid(),
  bus_id uuid,
  log_epoch bigint
);

insert into :schema.service (single) values (true);

-- Topics of the bus, under their ids there, as far as a process of the service has learned them. While outbox_full is set,
-- to a text with the backlog, messages are refused.
create table :schema.topic (
  id              integer primary key,
  name            text not null unique,
  partition_count integer not null,
  retention_ms    bigint not null,
  on_dead_letter  text not null,
  on_expired      text not null,
  backlog_max_messages bigint,
  backlog_max_bytes    bigint,
  outbox_full          text
);

create table :schema.topic_partition (
  id       integer primary key,
  topic_id integer not null references :schema.topic (id),
  number   integer not null,
  unique (topic_id, number)
);

create table :schema.consumer_group (
  id         integer generated always as identity primary key,
  name       text not null unique check (length(name) between 1 and 249),
  created_at timestamptz not null default clock_timestamp()
);

-- When the server was started, in microseconds since the epoch. By it a process notices that its transactions come to another
-- server than before, which may lack what the former one had committed: what it knows of the database is then read again.
create function :schema.incarnation() returns bigint
language sql stable
return (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint;

-- Makes the current transaction's commit wait for the disk, and for a synchronous standby, whatever the database's default
-- is. For what is relied on outside the transaction as soon as it is committed: a crash or failover must not take it back.
create function :schema.commit_to_disk() returns void
language sql volatile set search_path = pg_catalog, pg_temp
as $$
  select set_config('synchronous_commit', 'on', true)
   where current_setting('synchronous_commit') not in ('on', 'remote_apply')
$$;

-- A time as milliseconds since the epoch.
create function :schema.timer_ms(moment timestamptz) returns bigint
language sql immutable
return floor(extract(epoch from moment) * 1000)::bigint;

-- Binds the service to a bus, once, in the present epoch of its log. Raises WB054 for another bus than the one it is bound to.
create function :schema.service_bind(to_bus uuid, in_epoch bigint, out service_id uuid, out log_epoch bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  self record;
begin
  -- The usual case takes no lock.
  select s.id, s.bus_id, s.log_epoch into self from :schema.service s;
  if self.bus_id is null then
    perform :schema.commit_to_disk();
    perform from :schema.service s for update;
    update :schema.service s set bus_id = to_bus, log_epoch = in_epoch where s.bus_id is null;
    select s.id, s.bus_id, s.log_epoch into self from :schema.service s;
  end if;
  if self.bus_id <> to_bus then
    raise exception using errcode = 'WB054', detail = self.bus_id::text, message = format(
      'the service is bound to bus %s, and this is bus %s', self.bus_id, to_bus);
  end if;
  service_id := self.id;
  log_epoch := self.log_epoch;
end
$$;

-- Notes that all that the service has handed over is in the log's epoch: after a relay has appended again what was lost.
create function :schema.service_healed(in_epoch bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.acl_assert_open('relay');
  update :schema.service s set log_epoch = in_epoch where s.log_epoch < in_epoch;
end
$$;

-- Stores what the bus says of topics: settings, and the ids of all partitions, in order of topics and numbers. Topics that
-- a restricted login may not use are left out. Raises WB054 if the service knows a topic under another id, or another topic
-- under its id.
create function :schema.topic_learn(topic_ids integer[], names text[], partition_counts integer[], retentions bigint[],
                                    dead_letters text[], expired text[], backlog_messages bigint[], backlog_bytes bigint[],
                                    partition_ids integer[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  other record;
begin
  -- One learns at a time: two that insert the same topics in other orders would wait for each other.
  perform pg_advisory_xact_lock(hashtext(':schema.topics'), 0);
  select l.name into other from unnest(topic_ids, names) as l (id, name)
    join :schema.topic t on (t.name = l.name) <> (t.id = l.id) limit 1;
  if found then
    raise exception using errcode = 'WB054', detail = other.name, message = format(
      'topic %s has another id than before: the bus is not the one that the service knows', other.name);
  end if;
  insert into :schema.topic as t (id, name, partition_count, retention_ms, on_dead_letter, on_expired,
                                  backlog_max_messages, backlog_max_bytes)
  select l.id, l.name, l.partitions, l.retention, l.dead, l.expired, l.messages, l.bytes
    from unnest(topic_ids, names, partition_counts, retentions, dead_letters, expired, backlog_messages, backlog_bytes)
      as l (id, name, partitions, retention, dead, expired, messages, bytes)
   where :schema.acl_knows_topic(l.name)
  on conflict (id) do update
     set partition_count = excluded.partition_count, retention_ms = excluded.retention_ms,
         on_dead_letter = excluded.on_dead_letter, on_expired = excluded.on_expired,
         backlog_max_messages = excluded.backlog_max_messages, backlog_max_bytes = excluded.backlog_max_bytes
   where (t.partition_count, t.retention_ms, t.on_dead_letter, t.on_expired, t.backlog_max_messages, t.backlog_max_bytes)
         is distinct from (excluded.partition_count, excluded.retention_ms, excluded.on_dead_letter, excluded.on_expired,
                           excluded.backlog_max_messages, excluded.backlog_max_bytes);
  insert into :schema.topic_partition (id, topic_id, number)
  select p.id, o.topic_id, (p.place - o.before - 1)::integer
    from unnest(partition_ids) with ordinality as p (id, place)
    join (select l.id as topic_id, l.partitions, sum(l.partitions) over (order by l.place) - l.partitions as before
            from unnest(topic_ids, partition_counts) with ordinality as l (id, partitions, place)) o
      on p.place > o.before and p.place <= o.before + o.partitions
    join :schema.topic t on t.id = o.topic_id
  on conflict do nothing;
end
$$;

-- The topic's name, if the topic exists, has the partition and accepts more messages; raises otherwise.
create function :schema.known_topic(topic_name text, partition_number integer default null) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  partitions integer;
  backlog text;
begin
  select t.partition_count, t.outbox_full into partitions, backlog from :schema.topic t where t.name = topic_name;
  if partitions is null then
    raise exception using errcode = 'WB001', message = format('topic %s does not exist', topic_name),
      detail = topic_name;
  end if;
  if partition_number < 0 or partition_number >= partitions then
    raise exception using errcode = 'WB006', detail = topic_name, message = format(
      'partition %s was requested, but the topic has %s, counted from 0', partition_number, partitions);
  end if;
  if backlog is not null then
    raise exception using errcode = 'WB010', detail = topic_name, message = backlog;
  end if;
  return topic_name;
end
$$;

-- The id of a consumer group in this database; creates the group if it does not exist. known_id: under which a process knows
-- it; then it is created under no other, for a database that went back and lost it. Null if another group has that id.
create function :schema.group_ensure(group_name text, known_id integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  found_id integer;
begin
  loop
    select g.id into found_id from :schema.consumer_group g where g.name = group_name;
    exit when found_id is not null or exists (select from :schema.consumer_group g where g.id = known_id);
    -- The next number may be that of a group that was created under the id that it had.
    if known_id is null then
      insert into :schema.consumer_group (name) values (group_name) on conflict do nothing;
    else
      insert into :schema.consumer_group (id, name) overriding system value values (known_id, group_name)
      on conflict do nothing;
    end if;
  end loop;
  return found_id;
end
$$;
`,
};
