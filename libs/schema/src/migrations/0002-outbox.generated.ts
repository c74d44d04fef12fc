// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0002: Migration = {
  number: 2,
  name: '0002-outbox',
  breaking: false,
  checksum: 'c3b74d426535b70f95793f9835473e1db10d3d880f27c057ff7ddcbafe7d4b58',
  sql: `-- The outbox: an append-only ring of time slots that producers insert into, in their own transactions, and the
-- relay's cursor over it. The cursor is a snapshot: rows that are visible in a newer snapshot and not in it have
-- been committed since (PgQ has read its queues this way since 2007).

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
  timer_token      text,
  control          jsonb,
  expires_at_ms    bigint,
  signature        text,
  published_by     text not null default session_user
) partition by list (slot);

comment on column :schema.outbox.control is
  'Waybill''s own headers (waybill-...): replies, commands of sagas. A login that only publishes may not write it';
comment on column :schema.outbox.timer_action is
  'null: a message for the log; 1: a scheduled message; 2: cancels timers; 3: moves timers to deliver_at';
comment on column :schema.outbox.key is
  'for cancelling or moving timers: the login that does, whose rights decide';

-- Refuses rows that no relay could move, however they are inserted: WB006, with the topic as detail. One function and
-- no CHECK
-- constraints: the server parses those for every statement (ten times the cost of this). Columns with which the relay
-- finds rows and rings are emptied are filled by their defaults only. Short headers are not measured; \`||\` undoes
-- compression, which would hide their length. Whether the topic exists is not checked here: the relay sets aside rows
-- without one.
create function :schema.admit_outbox_row() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  problem text := case
    when new.id is distinct from currval(':schema.outbox_id') or new.xid is distinct from pg_current_xact_id()
         or new.created_at is null or new.created_at > clock_timestamp() + interval '1 hour'
         or new.published_by is distinct from session_user::text
      then 'id, xid, created_at and published_by must keep their defaults, and one of them was given another value'
    when new.timer_action > 1 and new.topic <> '' then 'a row that changes timers must not name a topic'
    when coalesce(new.timer_action, 1) = 1
         and (length(new.topic) not between 1 and 249 or new.topic ~ '[^A-Za-z0-9._-]' or new.topic in ('.', '..'))
      then 'the name of its topic must be 1 to 249 characters of A-Z a-z 0-9 . _ -, and not "." or ".."'
    when new.partition_number not between 0 and 4095
      then format('its partition must be from 0 to 4095, got %s', new.partition_number)
    when octet_length(new.key) > 4096
      then format('its key has %s bytes; the limit is 4096', octet_length(new.key))
    when octet_length(new.payload) > 67108864
      then format('its payload has %s bytes; the limit is 67108864', octet_length(new.payload))
    when new.expires_at_ms not between 0 and 253402300799999 or char_length(new.signature) > 400
         or new.control is not null and (jsonb_typeof(new.control) <> 'object' or pg_column_size(new.control) > 16384
              or new.control @? '$.keyvalue() ? (!(@.key like_regex "^waybill-[!-~]+$") || @.value.type() != "string")')
      then 'a column that only Waybill writes (control, expires_at_ms, signature) is malformed'
    when new.headers is null then null
    when jsonb_typeof(new.headers) <> 'object' then 'its headers must be an object of names and strings'
    when new.headers @? 'strict $.* ? (@.type() != "string")' then 'a header is not a string'
    when new.headers::text ~* '"waybill-' and new.headers @? '$.keyvalue() ? (@.key like_regex "^waybill-" flag "i")'
      then 'header names that begin with waybill- are reserved'
    when new.headers ? '' or new.headers @? '$.keyvalue() ? (@.key like_regex "[^!-~]")'
      then 'a header name must be 1 to 256 visible ASCII characters'
    when new.headers @? '$.* ? (@ like_regex "[\\\\u0001-\\\\u0008\\\\u000a-\\\\u001f\\\\u007f-\\\\u009f]")'
      then 'a header contains control characters'
  end;
begin
  if problem is null and pg_column_size(new.headers || '{}') > 256 then
    problem := (
      select case
        when count(*) > 64 then format('it has %s headers; the limit is 64', count(*))
        when max(length(h.key)) > 256 then 'a header name must be 1 to 256 visible ASCII characters'
        when sum(octet_length(h.key) + octet_length(h.value)) > 16384
          then format('its headers have %s bytes; the limit is 16384', sum(octet_length(h.key) + octet_length(h.value)))
      end from jsonb_each_text(new.headers) h);
  end if;
  if problem is null and (new.timer_action is not null or new.deliver_at is not null or new.timer_token is not null) then
    problem := case
      when new.timer_action is null then 'it has a time or a token but no timer_action'
      when new.timer_action = 2 and new.deliver_at is not null then 'it cancels timers but has a time'
      when new.timer_action <> 2
           and coalesce(new.deliver_at not between timestamptz '1970-01-01 00:00Z' and timestamptz '2500-01-01 00:00Z', true)
        then 'its deliver_at must be a time from 1970 to 2500'
      when char_length(new.timer_token) not between 1 and 256 then 'its timer_token must be 1 to 256 characters'
    end;
  end if;
  if problem is not null then
    raise exception using errcode = 'WB006', detail = new.topic, message = problem;
  end if;
  return new;
end
$$;

create trigger outbox_admission before insert on :schema.outbox for each row execute function :schema.admit_outbox_row();

-- Messages up to nearly a page stay in their row, uncompressed: they are read once, soon, and deleted.
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

-- A UUID of version 7 (RFC 9562): milliseconds since the epoch, then random bits.
create function :schema.uuid_v7() returns uuid
language sql volatile
return encode(
  set_byte(
    overlay(uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
            from 1 for 6),
    6, 112 | (get_byte(uuid_send(gen_random_uuid()), 6) & 15)),
  'hex')::uuid;

-- The delivery time of a message: a time, or now plus a delay, by this server's clock; null for immediately.
-- expires_at_ms or ttl_ms, of which one may be given, is returned as milliseconds since the epoch.
-- Raises if it would expire before it is delivered.
create function :schema.delivery_time(topic text, at_time timestamptz, delay_ms bigint, expires_at_ms bigint,
                                      ttl_ms bigint, out deliver_at timestamptz, out expires_ms bigint)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  deliver_at := coalesce(at_time, now_at + delay_ms * interval '1 millisecond');
  expires_ms := coalesce(
    expires_at_ms,
    floor(extract(epoch from greatest(deliver_at, now_at)) * 1000)::bigint + ttl_ms);
  if expires_at_ms <= extract(epoch from deliver_at) * 1000 then
    raise exception using errcode = 'WB006', detail = topic,
      message = 'it would expire before it is delivered: expiresAt must be after the time of delivery';
  end if;
end
$$;

-- Publishes a message in the current transaction, from any language. Returns the message's id. With deliver_at it is
-- delivered then, at most 100 years from now, and timer_token names it for cancelling. Raises WB001 and WB006.
create function :schema.publish(topic text, key text, payload jsonb, headers jsonb default null,
                                deliver_at timestamptz default null, timer_token text default null) returns uuid
language sql volatile set search_path = pg_catalog, pg_temp
as $$
  -- The id is made before the row, not read from it: a login that may only insert can publish.
  with message as materialized (select :schema.uuid_v7() as id), published as (
    insert into :schema.outbox (message_id, topic, key, headers, payload, timer_action, deliver_at, timer_token)
    select m.id, :schema.known_topic(publish.topic), publish.key, publish.headers,
           convert_to(publish.payload::text, 'UTF8'), case when publish.deliver_at is not null then 1::smallint end,
           case when publish.deliver_at is not null
                then least(greatest(publish.deliver_at, timestamptz 'epoch'), clock_timestamp() + interval '100 years') end,
           case when publish.deliver_at is not null then publish.timer_token end
      from message m
  )
  select m.id from message m
$$;

-- Begins a pass of the relay: takes the relay's lock, then, each in a later statement, reads the cursor and a
-- new snapshot, and measures the difference between the two (up to measure_limit rows).
-- state: busy (another relay is in a pass), idle, or ready. min_id and max_id are given for a large difference.
create function :schema.relay_begin(measure_limit integer, lease_ms integer)
returns table (state text, seq bigint, base text, target text, window_id bigint, window_end bigint,
               in_windows boolean, row_count integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  cursor_row record;
  b pg_snapshot;
begin
  perform :schema.acl_assert_open('relay');
  if not pg_try_advisory_xact_lock(hashtext(':schema.relay'), 0) then
    state := 'busy';
    return next;
    return;
  end if;
  -- A relay that hangs in a pass loses its session, and with it the lock.
  perform set_config('idle_in_transaction_session_timeout', lease_ms::text, true);
  -- The ring's slots are never analysed, so the planner's estimates are wrong: force index scans.
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

-- Whether any row has been committed that is not visible in base. Takes no lock and no transaction id.
create function :schema.relay_probe(base pg_snapshot) returns boolean
language plpgsql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from :schema.outbox o where o.xid >= pg_snapshot_xmax(base))
      or exists (select from :schema.outbox o where o.xid = any (array(select pg_snapshot_xip(base))));
end
$$;

-- Stores the cursor after a pass. The caller holds the relay's lock, from relay_begin in the same transaction.
create function :schema.relay_advance(after_seq bigint, new_base pg_snapshot, new_target pg_snapshot,
                                      new_window_id bigint, new_window_end bigint) returns void
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
begin
  perform :schema.acl_assert_open('relay');
  select c.seq, c.system_identifier into newest from :schema.relay_cursor c order by c.seq desc limit 1;
  if newest.seq is distinct from after_seq then
    raise exception using errcode = 'WB004',
      message = format('another relay moved the cursor from %s to %s', after_seq, newest.seq);
  end if;
  -- Rows that the pass has moved may leave the outbox once its cursor is committed: not before that is on disk.
  perform set_config('synchronous_commit', 'on', true);
  insert into :schema.relay_cursor (slot, seq, base, target, window_id, window_end, system_identifier)
  values (((after_seq + 1) / 10000 % 3)::smallint, after_seq + 1, new_base, new_target, new_window_id,
          new_window_end, newest.system_identifier);
end
$$;

-- Empties the next slot of the cursor's ring, which is checked again after taking its lock: a relay may have moved on
-- to it in the meantime. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.relay_cursor_recycle() returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  next_slot smallint;
  still_next smallint;
begin
  select (c.seq / 10000 + 1) % 3 into next_slot from :schema.relay_cursor c order by c.seq desc limit 1;
  if not exists (select from :schema.relay_cursor c where c.slot = next_slot) then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', 'relay_cursor_s' || next_slot);
  select (c.seq / 10000 + 1) % 3 into still_next from :schema.relay_cursor c order by c.seq desc limit 1;
  if still_next is distinct from next_slot then
    return false;
  end if;
  execute format('truncate only :schema.%I', 'relay_cursor_s' || next_slot);
  return true;
end
$$;

-- Empties one slot of the outbox's ring, if every row in it has been moved and is older than the retention.
-- Checked after taking the lock: a transaction that has inserted into the slot holds a lock on it until it ends, so
-- no row can appear after the check. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.outbox_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
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

-- For an operator, after the database was restored from a dump into another cluster, with all publishers stopped:
-- keeps the messages that had not been moved, under new ids and transaction ids, as published by the operator, and
-- restarts the cursor. The transaction ids and the cursor as they were dumped match each other, and show which messages
-- had been moved. Messages newer than the last pass have been published since, here or there: they are kept.
create function :schema.relay_adopt() returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
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
  insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, created_at,
                              timer_action, deliver_at, timer_token, control, expires_at_ms, signature)
  select a.message_id, a.topic, a.partition_number, a.key, a.headers, a.payload, a.created_at,
         a.timer_action, a.deliver_at, a.timer_token, a.control, a.expires_at_ms, a.signature
    from adopted_message a order by a.id;
  get diagnostics kept = row_count;
  insert into :schema.relay_cursor (slot, seq, base, system_identifier)
  select ((cursor_row.seq + 1) / 10000 % 3)::smallint, cursor_row.seq + 1, pg_current_snapshot(),
         c.system_identifier
    from pg_control_system() c;
  return kept;
end
$$;

-- The backlog of the relay by topic and publishing login, largest first; up to row_limit rows are counted.
-- It has the rights of the schema's owner, so that monitoring needs no right to read payloads.
create function :schema.outbox_backlogs(row_limit integer)
returns table (topic text, published_by text, waiting bigint, bytes bigint, oldest_at timestamptz)
language sql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
  select w.topic, w.published_by, count(*), sum(w.bytes)::bigint, min(w.created_at)
    from (select o.topic, o.published_by, o.created_at,
                 coalesce(octet_length(o.payload), 0) + coalesce(octet_length(o.key), 0) as bytes
            from (select c.base, c.target, c.window_id from :schema.relay_cursor c order by c.seq desc limit 1) c
            cross join lateral (
              select o.* from :schema.outbox o
               where o.xid >= pg_snapshot_xmax(c.base) or o.xid = any (array(select pg_snapshot_xip(c.base)))
            ) o
           where c.target is null or o.id > c.window_id or not pg_visible_in_snapshot(o.xid, c.target)
           limit row_limit) w
   group by w.topic, w.published_by
   order by count(*) desc, w.topic, w.published_by
$$;

-- The time of the last outbox_measure, in milliseconds since the epoch: a sequence, since an updated row would bloat.
create sequence :schema.outbox_measured as bigint minvalue 0 start 0;

-- Compares the backlog with the topics' limits, at most once per interval_ms, and marks topics as full or
-- no longer full. Returns the changed ones; full_text is null for those with room again. It has the rights of the
-- schema's owner: a process that may only publish must also find out when no relay runs, and may not read the outbox.
create function :schema.outbox_measure(interval_ms integer)
returns table (of_topic text, full_text text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
  most bigint;
begin
  select max(case when t.backlog_max_bytes is null then t.backlog_max_messages else 1000000 end) into most
    from :schema.topic t
   where t.backlog_max_messages is not null or t.backlog_max_bytes is not null or t.outbox_full is not null;
  if not found or (most is null and not exists (select from :schema.topic t where t.outbox_full is not null))
     or (select m.last_value > now_ms - interval_ms from :schema.outbox_measured m)
     or not pg_try_advisory_xact_lock(hashtext(':schema.outbox_measured'), 0) then
    return;
  end if;
  perform setval(':schema.outbox_measured', now_ms);
  return query
  with backlog as materialized (
    select b.topic, sum(b.waiting)::bigint as waiting, sum(b.bytes)::bigint as bytes,
           (array_agg(b.published_by order by b.waiting desc))[1] as most_by
      from :schema.outbox_backlogs(greatest(least(coalesce(most, 0), 1000000)::integer * 2, 200000)) b group by b.topic
  ), state as materialized (
    select t.id, case when b.waiting >= t.backlog_max_messages or b.bytes >= t.backlog_max_bytes
                      then format('%s messages of %s bytes wait in the outbox, most of them published by %s; the limit is %s',
                                  b.waiting, b.bytes, b.most_by,
                                  concat_ws(' or ', t.backlog_max_messages || ' messages', t.backlog_max_bytes || ' bytes'))
                 end as full_text
      from :schema.topic t left join backlog b on b.topic = t.name
  )
  update :schema.topic t set outbox_full = s.full_text
    from state s where s.id = t.id and (s.full_text is null) <> (t.outbox_full is null)
  returning t.name, t.outbox_full;
end
$$;
`,
};
