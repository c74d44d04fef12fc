-- The relay: which rows of the outbox it has handed over to the log. The cursor is a snapshot: rows that are visible in a
-- newer snapshot and not in it have been committed since (PgQ has read its queues this way since 2007).

-- One row for each pass, before its rows are appended: what it takes, so that the same rows can be read again. It takes the
-- rows that are visible in target and not in base, with ids above after_id and up to upto_id; end_id is the id of the
-- last of all rows between the two. confirmed_n: the newest pass of which the log has answered that it holds it. excluded: rows
-- that were set aside instead. A pass of which the log refuses rows is made again, in a higher version under a new token,
-- without them.
create table :schema.relay_intent (
  slot              smallint not null,
  n                 bigint not null,
  version           integer not null default 0,
  token             uuid not null,
  token_before      uuid,
  base              pg_snapshot not null,
  target            pg_snapshot not null,
  after_id          bigint not null,
  upto_id           bigint not null,
  end_id            bigint not null,
  row_count         integer not null,
  excluded          bigint[] not null default '{}',
  confirmed_n       bigint not null,
  system_identifier bigint not null,
  made_at           timestamptz not null default clock_timestamp()
) partition by list (slot);

create index relay_intent_n on :schema.relay_intent (n, version);

do $$
begin
  for slot in 0..2 loop
    execute format(
      'create table :schema.%I partition of :schema.relay_intent for values in (%s)
         with (autovacuum_enabled = off)', 'relay_intent_s' || slot, slot);
  end loop;
end
$$;

-- Pass 0 took what was there before: nothing. It has no rows, and the log does not know it.
insert into :schema.relay_intent (slot, n, token, base, target, after_id, upto_id, end_id, row_count, confirmed_n,
                                  system_identifier)
select 0, 0, gen_random_uuid(), s.now, s.now, 0, 0, 0, 0, 0, c.system_identifier
  from (select pg_current_snapshot() as now) s, pg_control_system() c;

-- Where the newest pass leads to: the rows after it are those not visible in base; while a large difference is moved in
-- windows, target is its other end, and rows up to window_id have been taken.
create function :schema.relay_place(out base pg_snapshot, out target pg_snapshot, out window_id bigint)
language sql stable set search_path = pg_catalog, pg_temp
as $$
  select case when i.upto_id < i.end_id then i.base else i.target end, case when i.upto_id < i.end_id then i.target end,
         case when i.upto_id < i.end_id then i.upto_id end
    from :schema.relay_intent i order by i.n desc, i.version desc limit 1
$$;

-- The newest pass, and the database's system identifier, as a relay reads them before it begins a pass.
create function :schema.relay_newest(out n bigint, out token uuid, out token_before uuid, out confirmed_n bigint,
                                     out made_ms_ago bigint, out in_windows boolean)
language plpgsql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
begin
  select i.n, i.token, i.token_before, i.confirmed_n,
         floor(extract(epoch from clock_timestamp() - i.made_at) * 1000)::bigint, i.upto_id < i.end_id
    into relay_newest.n, relay_newest.token, relay_newest.token_before, relay_newest.confirmed_n, made_ms_ago, in_windows
    from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
end
$$;

-- Passes in a range with all their versions, to be compared with the log's and appended again.
create function :schema.relay_intents(from_n bigint, to_n bigint)
returns table (n bigint, version integer, token uuid, token_before uuid, base pg_snapshot, target pg_snapshot,
               after_id bigint, upto_id bigint, row_count integer, excluded bigint[])
language sql stable security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
  select i.n, i.version, i.token, i.token_before, i.base, i.target, i.after_id, i.upto_id, i.row_count, i.excluded
    from :schema.relay_intent i where i.n between from_n and to_n order by i.n, i.version
$$;

-- Begins a pass of the relay: takes the relay's lock, then, each in a later statement, reads the newest pass and a
-- new snapshot, and measures the difference between the two (up to measure_limit rows).
-- state: busy (another relay is in a pass), idle, or ready. window_id and window_end are given for a large difference.
create function :schema.relay_begin(measure_limit integer, lease_ms integer)
returns table (state text, n bigint, token uuid, confirmed_n bigint, base text, target text, window_id bigint,
               window_end bigint, in_windows boolean, row_count integer, incarnation bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
  from_base pg_snapshot;
  b pg_snapshot;
begin
  perform :schema.acl_assert_open('relay');
  perform :schema.assert_read_committed('a pass of the relay');
  if not pg_try_advisory_xact_lock(hashtext(':schema.relay'), 0) then
    state := 'busy';
    return next;
    return;
  end if;
  -- A relay that hangs in a pass loses its session, and with it the lock.
  perform set_config('idle_in_transaction_session_timeout', lease_ms::text, true);
  -- The ring's slots are never analysed, so the planner's estimates are wrong: force index scans.
  perform set_config('enable_seqscan', 'off', true);
  select i.* into newest from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if newest.system_identifier <> (select c.system_identifier from pg_control_system() c) then
    raise exception using errcode = 'WB007', message = 'the relay''s cursor belongs to another cluster',
      detail = newest.system_identifier::text;
  end if;
  n := newest.n;
  token := newest.token;
  confirmed_n := newest.confirmed_n;
  incarnation := :schema.incarnation();
  if newest.upto_id < newest.end_id then
    state := 'ready';
    base := newest.base::text;
    target := newest.target::text;
    window_id := newest.upto_id;
    window_end := newest.end_id;
    in_windows := true;
    return next;
    return;
  end if;
  from_base := newest.target;
  base := from_base::text;

  select pg_current_snapshot() into b;
  select count(*) into row_count
    from (select 1 from :schema.outbox o
           where o.xid >= pg_snapshot_xmax(from_base) and pg_visible_in_snapshot(o.xid, b)
          union all
          select 1 from :schema.outbox o
           where o.xid = any (array(select pg_snapshot_xip(from_base)))
             and pg_visible_in_snapshot(o.xid, b)
           limit measure_limit + 1) d;
  target := b::text;
  state := case when row_count = 0 then 'idle' else 'ready' end;
  in_windows := row_count > measure_limit;
  if in_windows then
    select min(d.id) - 1, max(d.id) into window_id, window_end
      from (select o.id from :schema.outbox o
             where o.xid >= pg_snapshot_xmax(from_base) and pg_visible_in_snapshot(o.xid, b)
            union all
            select o.id from :schema.outbox o
             where o.xid = any (array(select pg_snapshot_xip(from_base)))
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

-- Stores a pass, before it is appended. The caller holds the relay's lock, from relay_begin in the same transaction.
-- confirmed: the newest pass that the log has answered for, as far as the caller knows; or this one, when the log is in
-- this database and appends it in this transaction. Returns nothing; raises WB004 when another relay has been faster.
create function :schema.relay_intend(after_n bigint, after_token uuid, new_token uuid, new_base pg_snapshot,
                                     new_target pg_snapshot, new_after_id bigint, new_upto_id bigint, new_end_id bigint,
                                     new_row_count integer, new_excluded bigint[], confirmed bigint) returns void
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  newest record;
begin
  perform :schema.acl_assert_open('relay');
  select i.n, i.token, i.confirmed_n, i.system_identifier into newest
    from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if newest.n <> after_n or newest.token <> after_token then
    raise exception using errcode = 'WB004',
      message = format('another relay made pass %s after pass %s', newest.n, after_n);
  end if;
  -- The log may hold the pass as soon as this is committed, and rows that it has moved may leave the outbox: not before
  -- that is on disk.
  perform :schema.commit_to_disk();
  insert into :schema.relay_intent (slot, n, token, token_before, base, target, after_id, upto_id, end_id, row_count,
                                    excluded, confirmed_n, system_identifier)
  values (((after_n + 1) / 10000 % 3)::smallint, after_n + 1, new_token, after_token, new_base, new_target, new_after_id,
          new_upto_id, new_end_id, new_row_count, new_excluded, greatest(confirmed, newest.confirmed_n), newest.system_identifier);
end
$$;

-- Empties the next slot of the ring of passes, which is checked again after taking its lock: a relay may have moved on
-- to it in the meantime. Passes that are not confirmed, and those whose rows are still in the outbox, stay: the newest is
-- read behind the lock. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.relay_intent_recycle() returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  next_slot smallint;
  newest record;
  last_here record;
  oldest_row timestamptz;
begin
  select (i.n / 10000 + 1) % 3 into next_slot from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  if not exists (select from :schema.relay_intent i where i.slot = next_slot) then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', 'relay_intent_s' || next_slot);
  select i.n, i.confirmed_n into newest from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  select i.n, i.made_at into last_here from :schema.relay_intent i where i.slot = next_slot order by i.n desc, i.version desc limit 1;
  select o.created_at into oldest_row from :schema.outbox o order by o.id limit 1;
  if (newest.n / 10000 + 1) % 3 <> next_slot or last_here.n >= newest.confirmed_n or oldest_row <= last_here.made_at then
    return false;
  end if;
  execute format('truncate only :schema.%I', 'relay_intent_s' || next_slot);
  return true;
end
$$;

-- Empties one slot of the outbox's ring, if every row in it is in the log by its own answer, and older than the retention.
-- Checked after taking the lock: a transaction that has inserted into the slot holds a lock on it until it ends, so
-- no row can appear after the check. Fails with 55P03 if the lock is not available within 50 ms.
create function :schema.outbox_empty_slot(slot_number integer, retention_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  slot_name text := 'outbox_s' || slot_number;
  known_n bigint;
  moved pg_snapshot;
  newest timestamptz;
  waiting boolean;
begin
  execute format('select o.created_at from :schema.%I o order by o.id desc limit 1', slot_name) into newest;
  if newest is null or newest > clock_timestamp() - retention_ms * interval '1 millisecond' then
    return false;
  end if;
  execute format('lock table only :schema.%I in access exclusive mode', slot_name);
  select i.confirmed_n into known_n from :schema.relay_intent i order by i.n desc, i.version desc limit 1;
  -- Up to where all is in the log: not to the newest pass, whose answer may be missing.
  select case when i.upto_id < i.end_id then i.base else i.target end into moved
    from :schema.relay_intent i where i.n = known_n limit 1;
  execute format(
    'select exists (select from :schema.%1$I o where o.xid >= pg_snapshot_xmax($1))
         or exists (select from :schema.%1$I o where o.xid = any (array(select pg_snapshot_xip($1))))',
    slot_name) into waiting using moved;
  execute format('select o.created_at from :schema.%I o order by o.id desc limit 1', slot_name) into newest;
  if moved is null or waiting or newest > clock_timestamp() - retention_ms * interval '1 millisecond' then
    return false;
  end if;
  execute format('truncate only :schema.%I', slot_name);
  return true;
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
            from :schema.relay_place() c
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
