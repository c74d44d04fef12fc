-- Timers: effects that are due later. The table is the source of truth; the clock only wakes the process that fires
-- them.
--
-- A ring of eight near slots of an hour each for timers due within six hours, and one slot for later ones.
-- A timer is deleted when it fires, in the transaction of its effect. A near slot whose hour has passed and that is
-- empty is truncated, which removes dead rows even while a session holds an old snapshot.

create sequence :schema.timer_id as bigint;

-- kind: 1 a message, 2 a run of a recurring message (token is its name). Later releases add more.
-- message_id is the timer's id for users; id is the order of timers due at the same time.
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
  created_at       timestamptz not null default clock_timestamp(),
  -- A time too far off breaks date arithmetic, and a long token cannot be indexed: either would stop every timer.
  constraint timer_due check (due_at between timestamptz '1970-01-01 00:00Z' and timestamptz '2500-01-01 00:00Z'),
  constraint timer_token check (octet_length(token) <= 1024)
) partition by list (slot);

-- Read once, then deleted: not worth compressing.
alter table :schema.timer alter column payload set storage external;

create index timer_due on :schema.timer (due_at, id);
create index timer_message on :schema.timer (message_id);
create index timer_token on :schema.timer (token) where token is not null;

-- Vacuum's truncation of a slot would lock it exclusively; TRUNCATE releases all its pages.
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
  -- Changes with the schedule.
  revision         bigint not null,
  -- Set after the timers of the previous schedule were checked: those found locked were already being fired.
  scheduled_at     timestamptz not null default clock_timestamp(),
  created_at       timestamptz not null default clock_timestamp(),
  check ((cron is null) <> (every_ms is null))
);

-- Due times are stored to the millisecond, rounded up, from now to 100 years ahead: a time in the past becomes now.
create function :schema.timer_due(wanted timestamptz) returns timestamptz
language sql volatile
return date_trunc('milliseconds', least(greatest(wanted, clock_timestamp()),
                                        clock_timestamp() + interval '100 years') + interval '999 microseconds');

-- The slot for a due time: that of its hour if it is near, else the far one.
create function :schema.timer_slot(due timestamptz) returns smallint
language sql volatile
return case when due < clock_timestamp() + interval '6 hours'
            then floor(extract(epoch from due) / 3600)::bigint % 8 else 8 end::smallint;

-- Schedules messages, in the order of the arrays. Returns their due times.
create function :schema.timer_schedule(
  message_ids uuid[], tokens text[], topics text[], partitions integer[], keys text[], all_headers text[],
  payloads bytea[], wanted_ms bigint[])
returns table (due_ms bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    perform :schema.acl_assert_publish(w.topic) from unnest(topics) as w (topic);
  end if;
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

-- Whether each timer is subject to the rights of a login (null: the session's): it may change those whose topics it may
-- publish to.
create function :schema.timer_asker(asker text) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not :schema.acl_open() then
    return session_user::text;
  end if;
  return case when not :schema.acl_open_for(coalesce(asker, current_user::text)) then asker end;
end
$$;

-- Cancels scheduled messages by id or token. Returns how many; one that is being fired is waited for and
-- not counted. Raises 40001 if one is being moved to another slot: the caller retries.
create function :schema.timer_cancel(message_ids uuid[], tokens text[], asker text) returns integer
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  restricted text := :schema.timer_asker(asker);
  by_id integer;
  by_token integer;
begin
  delete from :schema.timer t where t.message_id = any (message_ids) and t.kind = 1
     and (restricted is null or :schema.acl_publishes_for(restricted, t.topic));
  get diagnostics by_id = row_count;
  delete from :schema.timer t where t.token = any (tokens) and t.kind = 1
     and (restricted is null or :schema.acl_publishes_for(restricted, t.topic));
  get diagnostics by_token = row_count;
  return by_id + by_token;
end
$$;

-- Moves scheduled messages to another time, by id or token; counts and raises like timer_cancel.
create function :schema.timer_reschedule(message_ids uuid[], tokens text[], wanted timestamptz, asker text)
returns table (moved integer, due_ms bigint)
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  due timestamptz := :schema.timer_due(wanted);
  due_slot smallint := :schema.timer_slot(due);
  restricted text := :schema.timer_asker(asker);
  by_token integer;
begin
  update :schema.timer t set slot = due_slot, due_at = due where t.message_id = any (message_ids) and t.kind = 1
     and (restricted is null or :schema.acl_publishes_for(restricted, t.topic));
  get diagnostics moved = row_count;
  update :schema.timer t set slot = due_slot, due_at = due where t.token = any (tokens) and t.kind = 1
     and (restricted is null or :schema.acl_publishes_for(restricted, t.topic));
  get diagnostics by_token = row_count;
  moved := moved + by_token;
  due_ms := :schema.timer_ms(due);
  return next;
end
$$;

-- The current time, and the due time of the next timer not due before low. Takes no lock and no transaction id.
create function :schema.timer_probe(low timestamptz, kinds smallint[])
returns table (now_ms bigint, next_ms bigint)
language plpgsql stable security definer
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
  set search_path = pg_catalog, pg_temp
as $$
begin
  select :schema.timer_ms(t.due_at) into next_ms from :schema.timer t
   where t.due_at >= low and t.kind = any (kinds) order by t.due_at, t.id limit 1;
  now_ms := :schema.timer_ms(clock_timestamp());
  return next;
end
$$;

-- Claims due timers in order: deletes and returns them. One process at a time does so, under an advisory lock
-- that is waited for at most 50 ms (55P03); due timers are read after the lock, in a later statement. The lower
-- bound keeps it from scanning deleted rows. A caller that hangs in its transaction loses its session.
create function :schema.timer_claim(low timestamptz, kinds smallint[], claim_limit integer, lease_ms integer)
returns table (now_ms bigint, due_ms bigint, id bigint, kind smallint, message_id uuid, token text, topic text,
               partition_number integer, key text, headers text, payload bytea)
language plpgsql security definer
  set lock_timeout = '50ms' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz;
begin
  perform :schema.acl_assert_open('fire timers');
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
-- concurrent cancel fails with 40001 and is retried: it can neither miss the timer nor cancel it twice.
create function :schema.timer_promote(move_limit integer) returns integer
language plpgsql security definer
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
  set enable_hashjoin = off set enable_mergejoin = off set jit = off set search_path = pg_catalog, pg_temp
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

-- Empties the near slot that is filled next, if it has no rows. Checked after taking the lock, which is
-- waited for at most 50 ms (55P03): a transaction that has inserted into the slot holds a lock on it until it ends.
create function :schema.timer_empty_slot() returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
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

-- The intervals of slot_ms milliseconds, numbered from the epoch by their ends, in which timers are due from from_ms up
-- to until_ms. One process at a time reads them: busy: another process is doing so.
create function :schema.timer_window(from_ms bigint, until_ms bigint, slot_ms integer)
returns table (busy boolean, due_slots bigint[])
language plpgsql security definer
  set enable_seqscan = off set enable_bitmapscan = off set jit = off set search_path = pg_catalog, pg_temp
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

-- Stores a recurring message, and a timer for its first run. An unchanged schedule keeps its next run, whatever else
-- has changed. A run of an earlier schedule that is already due stays, and is made once. One that is not due is
-- removed, and remembered as owed: if the schedule changes again after its time, and nothing has run since, it is due.
-- So a schedule that is changed again and again still makes its runs.
create function :schema.recurring_put(
  for_name text, for_topic text, for_partition integer, for_key text, for_headers jsonb, for_payload bytea,
  for_cron text, for_time_zone text, for_every_ms bigint, for_missed text, first_run_ms bigint)
returns table (changed boolean, due_ms bigint)
language plpgsql security definer set enable_seqscan = off set search_path = pg_catalog, pg_temp
as $$
declare
  new_revision bigint := nextval(':schema.timer_id');
  kept_revision bigint;
  now_at timestamptz := clock_timestamp();
  due timestamptz;
  earlier record;
  owed_ms bigint;
begin
  perform :schema.acl_assert_publish(r.topic)
     from (select for_topic as topic
           union all
           select m.topic from :schema.recurring_message m where m.name = for_name) r;
  insert into :schema.recurring_message as r (name, topic, partition_number, key, headers, payload, cron, time_zone,
                                              every_ms, missed, revision)
  values (for_name, :schema.known_topic(for_topic, for_partition), for_partition, for_key, for_headers, for_payload,
          for_cron, for_time_zone, for_every_ms, for_missed, new_revision)
  on conflict (name) do update
     set topic = excluded.topic, partition_number = excluded.partition_number, key = excluded.key,
         headers = excluded.headers, payload = excluded.payload, cron = excluded.cron,
         time_zone = excluded.time_zone, every_ms = excluded.every_ms, missed = excluded.missed,
         revision = case when (r.cron, r.time_zone, r.every_ms)
                              is distinct from (excluded.cron, excluded.time_zone, excluded.every_ms)
                         then excluded.revision else r.revision end
   where (r.topic, r.partition_number, r.key, r.headers, r.payload, r.cron, r.time_zone, r.every_ms, r.missed)
         is distinct from (excluded.topic, excluded.partition_number, excluded.key, excluded.headers,
                           excluded.payload, excluded.cron, excluded.time_zone, excluded.every_ms, excluded.missed)
  returning r.revision into kept_revision;
  changed := kept_revision is not null;
  if kept_revision is distinct from new_revision then
    -- One without a next run, because none could be computed, gets one.
    if not exists (select from :schema.timer t where t.token = for_name and t.kind = 2) then
      select r.revision into new_revision from :schema.recurring_message r where r.name = for_name;
    else
      return next;
      return;
    end if;
  end if;

  -- One that is being fired is locked; see scheduled_at.
  update :schema.timer t set headers = t.headers || '{"kept": true}'
    from (select o.slot, o.due_at, o.id from :schema.timer o
           where o.token = for_name and o.kind = 2 and o.due_at <= now_at for update skip locked) old
   where t.slot = old.slot and t.due_at = old.due_at and t.id = old.id;
  for earlier in
    delete from :schema.timer t
     using (select o.slot, o.due_at, o.id from :schema.timer o
             where o.token = for_name and o.kind = 2 and o.due_at > now_at for update skip locked) old
     where t.slot = old.slot and t.due_at = old.due_at and t.id = old.id
    returning (t.headers->>'revision')::bigint as revision,
              (t.headers->>'runAtMs')::bigint - coalesce((t.headers->>'owedBeforeMs')::bigint, 0) as run_ms
  loop
    if earlier.run_ms <= :schema.timer_ms(now_at) then
      due := :schema.timer_due(now_at);
      insert into :schema.timer (slot, due_at, kind, token, headers)
      values (:schema.timer_slot(due), due, 2, for_name,
              jsonb_build_object('revision', earlier.revision, 'runAtMs', earlier.run_ms, 'kept', true));
    else
      owed_ms := least(owed_ms, earlier.run_ms);
    end if;
  end loop;
  due := :schema.timer_due(timestamptz 'epoch' + first_run_ms * interval '1 millisecond');
  insert into :schema.timer (slot, due_at, kind, token, headers)
  values (:schema.timer_slot(due), due, 2, for_name,
          jsonb_strip_nulls(jsonb_build_object('revision', new_revision, 'runAtMs', first_run_ms,
                                               'owedBeforeMs', greatest(first_run_ms - owed_ms, 0))));
  due_ms := :schema.timer_ms(due);
  update :schema.recurring_message r set scheduled_at = clock_timestamp() where r.name = for_name;
  return next;
end
$$;
