-- Operations of distributed transactions in the participant's database; their tables are those of 0008. Every operation has
-- a time of its own: that in its gid, and begun_ms after it. Only slots that are needed are named: a plan over the ring
-- would lock all of them to the end of the transaction, and none could be emptied.

-- Passes the barrier with an operation, as the first write of its transaction. origin is what the operation takes back
-- (null: nothing), begun origin_begun_ms after the gid's time: it is inserted first, so that it can never come after it.
-- Everybody inserts in this order, so nobody waits in a circle. A transaction that is just here is waited for, at most
-- wait_ms (55P03). In READ COMMITTED the later statements see what it left; with a fixed snapshot they fail by themselves
-- (40001). An origin that the barrier has forgotten was done when origin_done says so; else nobody can tell (WB022).
-- outcome: done (do it now); duplicate (it has been done; result is what it came to); empty (what it takes back has not
-- happened, and will not); refused (it came behind what takes it back).
create function :schema.barrier_call(
  of_gid text, of_branch text, of_op text, origin text, wait_ms integer, retention_ms bigint,
  begun_ms bigint, origin_begun_ms bigint, origin_done boolean)
returns table (outcome text, result text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, begun_ms, retention_ms);
  timeout_before text := current_setting('lock_timeout');
  origin_age bigint;
  first_reason text;
  first_result text;
  nothing_done boolean := false;
begin
  perform :schema.commit_to_disk();
  perform set_config('lock_timeout', wait_ms::text, true);
  if origin is not null then
    origin_age := floor(extract(epoch from clock_timestamp()) * 1000) - :schema.barrier_made(of_gid, origin_begun_ms);
    if origin_age <= 90 * 86400000::bigint then
      -- What its saga knows to be done was done: elsewhere, or by hand, where this database does not know of it.
      nothing_done := :schema.barrier_bar(of_gid::uuid, of_branch, origin, origin_begun_ms, of_op)
        and not coalesce(origin_done, false);
    elsif not origin_done then
      raise exception using errcode = 'WB022', message = format(
        'what %s of branch %s of %s takes back was begun %s hours ago, the barrier has forgotten it, and its saga does not '
        'know whether it was done', of_op, of_branch, of_gid, origin_age / 3600000);
    end if;
  end if;
  insert into :schema.barrier (slot, gid, branch, op, reason, made_ms)
  values (in_slot, of_gid::uuid, of_branch, of_op, of_op, :schema.barrier_late(of_gid::uuid, begun_ms))
  on conflict do nothing;
  if found then
    perform set_config('lock_timeout', timeout_before, true);
    return query select case when nothing_done then 'empty' else 'done' end, null::text;
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
  return query select case when first_reason in (of_op, 'ongoing', 'ongoing-effect') then 'duplicate' else 'refused' end,
                      first_result;
end
$$;

-- Keeps an operation from happening later, for what takes it back (by_op). True when it has not happened: it never came,
-- was rejected, or is still going on and has done nothing yet; then its answer comes too late.
create function :schema.barrier_bar(of_gid uuid, of_branch text, of_op text, begun_ms bigint, by_op text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot_at(:schema.uuid_ms(of_gid) + begun_ms);
  slot_name text := 'barrier_s' || in_slot;
  look text := 'select b.reason from :schema.%I b where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4';
  first_reason text;
begin
  insert into :schema.barrier (slot, gid, branch, op, reason, made_ms)
  values (in_slot, of_gid, of_branch, of_op, by_op, :schema.barrier_late(of_gid, begun_ms))
  on conflict do nothing;
  if found then
    return true;
  end if;
  execute format(look, slot_name) into first_reason using in_slot, of_gid, of_branch, of_op;
  if first_reason in ('ongoing', 'ongoing-effect') then
    -- Its answer may be just here: the row's lock decides which of the two is first, and what is read behind it counts.
    execute format(look || ' for update', slot_name) into first_reason using in_slot, of_gid, of_branch, of_op;
    if first_reason in ('ongoing', 'ongoing-effect') then
      execute format('update :schema.%I b set reason = $5 where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4',
                     slot_name) using in_slot, of_gid, of_branch, of_op, by_op;
    end if;
  end if;
  return first_reason in ('ongoing', 'rejected');
end
$$;

-- Notes that an operation which has passed in this transaction goes on behind it. of_reason: ongoing, or ongoing-effect when
-- it has done something that has to be taken back.
create function :schema.barrier_ongoing(of_gid text, of_branch text, of_op text, begun_ms bigint, of_reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms));
begin
  execute format('update :schema.%I b set reason = $5
                   where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4 and b.reason = $4',
                 'barrier_s' || in_slot) using in_slot, of_gid::uuid, of_branch, of_op, of_reason;
end
$$;

-- Ends an operation that went on (new_reason: the operation itself, or rejected; null leaves it going on). Returns what it
-- was: ongoing, ongoing-effect; anything else is why it cannot be ended any more, null when it is not known here. The
-- transaction of the operation itself, and of what takes it back, is waited for, at most wait_ms (55P03).
create function :schema.barrier_answer(
  of_gid text, of_branch text, of_op text, begun_ms bigint, new_reason text, wait_ms integer)
returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms));
  slot_name text := 'barrier_s' || in_slot;
  timeout_before text := current_setting('lock_timeout');
  first_reason text;
begin
  perform :schema.commit_to_disk();
  perform set_config('lock_timeout', wait_ms::text, true);
  begin
    insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, of_op, 'unknown')
    on conflict do nothing;
    if found then
      raise exception using errcode = 'WB023', message = 'no such operation was begun here';
    end if;
  exception
    when sqlstate 'WB023' then
      perform set_config('lock_timeout', timeout_before, true);
      return null;
  end;
  execute format('select b.reason from :schema.%I b
                   where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4 for update', slot_name)
    into first_reason using in_slot, of_gid::uuid, of_branch, of_op;
  if first_reason in ('ongoing', 'ongoing-effect') and new_reason is not null then
    execute format('update :schema.%I b set reason = $5 where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4',
                   slot_name) using in_slot, of_gid::uuid, of_branch, of_op, new_reason;
  end if;
  perform set_config('lock_timeout', timeout_before, true);
  return first_reason;
end
$$;

-- Keeps what an operation has come to.
create function :schema.barrier_keep(of_gid text, of_branch text, of_op text, of_result text, begun_ms bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.barrier_result (slot, gid, branch, op, result)
  values (:schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms)), of_gid::uuid, of_branch, of_op, of_result);
$$;

-- Takes back what kept an operation from happening.
create function :schema.barrier_pardon(of_gid text, of_branch text, of_op text, begun_ms bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  delete from :schema.barrier b
   where b.slot = :schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms)) and b.gid = of_gid::uuid
     and b.branch = of_branch and b.op = of_op and b.reason = 'rejected';
$$;

-- Keeps in mind that an operation was rejected.
create function :schema.barrier_reject(of_gid text, of_branch text, of_op text, retention_ms bigint, begun_ms bigint)
returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.barrier (slot, gid, branch, op, reason, made_ms)
  values (:schema.barrier_slot(of_gid, begun_ms, retention_ms), of_gid::uuid, of_branch, of_op, 'rejected',
          :schema.barrier_late(of_gid::uuid, begun_ms))
  on conflict do nothing;
$$;

-- Empties a slot of the barrier when every operation in it was begun longer than 90 days and an hour ago, whatever retention
-- callers ask for: one that can still be accepted is never forgotten. A gid tells the time of its rows to the hour, or
-- made_ms does. Fails with 55P03 when the lock is not to be had within 50 ms.
create function :schema.barrier_empty_slot(slot_number integer) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  slot_name text := 'barrier_s' || slot_number;
  result_name text := 'barrier_result_s' || slot_number;
  oldest_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000) - 90 * 86400000::bigint - 3600000;
  oldest uuid := (lpad(to_hex(oldest_ms - 3600000), 12, '0') || repeat('0', 20))::uuid;
  look text := format('select exists (select from :schema.%1$I),
                              exists (select from :schema.%1$I b where b.slot = $1 and b.gid >= $2)
                                or exists (select from :schema.%1$I b where b.made_ms >= $3)', slot_name);
  needed boolean;
  filled boolean;
begin
  execute look into filled, needed using slot_number, oldest, oldest_ms;
  if needed or not filled then
    return false;
  end if;
  execute format('lock table only :schema.%I, only :schema.%I in access exclusive mode', slot_name, result_name);
  execute look into filled, needed using slot_number, oldest, oldest_ms;
  if needed then
    return false;
  end if;
  execute format('truncate only :schema.%I, only :schema.%I', slot_name, result_name);
  return true;
end
$$;

-- Removes ended sagas, and what happened to them, from a slot that cannot be emptied as a whole: a saga that began in its
-- days is under way for longer than ended ones are kept, or one of an earlier lap of the ring ended late. At most `most` of
-- them; returns how many. What began less than 8 days ago is left to be emptied with its slot.
create function :schema.saga_forget_ended(slot_number integer, keep_ms bigint, most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000);
  horizon timestamptz := clock_timestamp() - keep_ms * interval '1 millisecond';
  long_ago uuid := (lpad(to_hex(now_ms - greatest(keep_ms, 8 * 86400000::bigint)), 12, '0') || repeat('0', 20))::uuid;
  of_lap uuid := (lpad(to_hex(now_ms - keep_ms - 16 * 86400000::bigint), 12, '0') || repeat('0', 20))::uuid;
  gone uuid[];
begin
  if not :schema.acl_open() then
    return 0;
  end if;
  -- While nothing holds the slot up, only what should have left with it long ago is removed.
  if not exists (select from :schema.saga s where :schema.saga_slot(s.id) = slot_number::smallint and s.id < long_ago) then
    long_ago := least(long_ago, of_lap);
  end if;
  execute format('select array(select e.id from :schema.%I e where e.slot = $1 and e.id < $2 and e.ended_at < $3
                                order by e.id limit $4 for update skip locked)', 'saga_ended_s' || slot_number)
    into gone using slot_number::smallint, long_ago, horizon, most;
  execute format('delete from :schema.%I t where t.slot = $1 and t.saga_id = any ($2)', 'saga_transition_s' || slot_number)
    using slot_number::smallint, gone;
  execute format('delete from :schema.%I a where a.slot = $1 and a.saga_id = any ($2)', 'saga_attribute_s' || slot_number)
    using slot_number::smallint, gone;
  execute format('delete from :schema.%I e where e.slot = $1 and e.id = any ($2)', 'saga_ended_s' || slot_number)
    using slot_number::smallint, gone;
  return cardinality(gone);
end
$$;

-- What operators did in a database that has no table operator_action: a participant's own.
create table :schema.participant_action (
  id          bigint generated always as identity primary key,
  acted_at    timestamptz not null default clock_timestamp(),
  actor       text not null default session_user,
  stated_by   text not null,
  action      text not null,
  target_kind text not null,
  target      text not null,
  reason      text,
  details     jsonb not null default '{}'
);

-- Keeps what an operator did, by login and by the name that is stated; where the operators' desk is, at that.
create function :schema.audit_own(stated_by text, of_action text, of_kind text, of_target text, why text, of_details jsonb)
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(btrim(stated_by), '') = '' then
    raise exception using errcode = '22023', message = 'stated_by must say who decides';
  end if;
  if to_regclass(':schema.operator_action') is not null then
    insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
    values (audit_own.stated_by, of_action, of_kind, of_target, why, of_details);
  else
    insert into :schema.participant_action (actor, stated_by, action, target_kind, target, reason, details)
    values (session_user, audit_own.stated_by, of_action, of_kind, of_target, why, of_details);
  end if;
end
$$;

-- Lets go an entity that is held for a saga, by an operator's decision, and keeps who decided; no row when nothing holds it.
-- Commands that wait for it are sent again by the service, see saga_wake. The login needs the right to execute this function,
-- and no other.
create function :schema.unlock_entity(of_entity text, stated_by text, why text default null)
returns table (saga_id uuid, branch text, locked_at timestamptz, waiting bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  held record;
  waiters bigint;
begin
  perform :schema.acl_assert_open('let go entities');
  delete from :schema.saga_lock l where l.entity = of_entity returning l.saga_id, l.branch, l.locked_at into held;
  if not found then
    return;
  end if;
  select count(*) into waiters from :schema.saga_stash s where s.entity = of_entity;
  perform :schema.audit_own(unlock_entity.stated_by, 'saga.unlock', 'entity', of_entity, why,
    jsonb_build_object('saga', held.saga_id, 'branch', held.branch, 'lockedAt', held.locked_at, 'waiting', waiters));
  return query select held.saga_id, held.branch, held.locked_at, waiters;
end
$$;

-- Hands out commands that wait for an entity which nothing holds any more, at most `most` of them: an operator has let it
-- go, or it was let go while they were put aside.
create function :schema.saga_wake(most integer)
returns table (topic text, message_key text, headers text, control text, payload bytea)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  with woken as (
    delete from :schema.saga_stash s
     where s.id in (select w.id from :schema.saga_stash w
                     where not exists (select from :schema.saga_lock l where l.entity = w.entity)
                     order by w.id limit most for update skip locked)
    returning s.id, s.topic, s.message_key, s.headers::text as headers, s.control::text as control, s.payload
  )
  select w.topic, w.message_key, w.headers, w.control, w.payload from woken w order by w.id;
$$;
