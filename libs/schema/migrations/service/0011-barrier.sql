-- The barrier: what came first under the name of an operation of a distributed transaction, in the database of the
-- business rows. Every operation has its own time: that in its gid, plus begun_ms. A ring of slots: rows are
-- written once and removed with their slot. Statements name only the slots they need: a plan over the ring would lock
-- all of them to the end of the transaction, and none could be emptied.

-- The milliseconds of a UUIDv7. The result for other ids is meaningless.
create function :schema.uuid_ms(id uuid) returns bigint
language sql immutable strict
return ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint;

-- The slot of an operation in the barrier: 16 slots of 8 days, by the time when it was begun.
create function :schema.barrier_slot_at(made_ms bigint) returns smallint
language sql immutable strict
return (made_ms / 691200000 % 16)::smallint;

-- One row for what came first under a name, in the database of the business rows: the operation itself (reason is
-- op; ongoing, or ongoing-effect, until a command that ends later has ended), or the operation that prevents it (reason
-- is the op that came first). made_ms: when the operation was begun, if more than an hour after the time in its gid.
create table :schema.barrier (
  slot       smallint not null,
  gid        uuid not null,
  branch     text not null,
  op         text not null,
  reason     text not null,
  created_at timestamptz not null default clock_timestamp(),
  made_ms    bigint,
  primary key (slot, gid, branch, op)
) partition by list (slot);

create index barrier_made on :schema.barrier (made_ms) where made_ms is not null;

-- The results of operations, for their duplicates; written by the same transaction.
create table :schema.barrier_result (
  slot   smallint not null,
  gid    uuid not null,
  branch text not null,
  op     text not null,
  result text not null,
  primary key (slot, gid, branch, op)
) partition by list (slot);

do $$
declare
  ring text;
begin
  foreach ring in array array['barrier', 'barrier_result']
  loop
    for slot in 0..15 loop
      execute format('create table :schema.%I partition of :schema.%I for values in (%s)
                        with (autovacuum_enabled = off)', ring || '_s' || slot, ring, slot);
    end loop;
  end loop;
end
$$;

-- When an operation was begun: begun_ms after the time in its gid. An error (WB020) for a gid that is not a UUIDv7, and
-- for a time that is more than a day ahead.
create function :schema.barrier_made(of_gid text, begun_ms bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made bigint;
begin
  if of_gid !~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s is not a UUID of version 7: make it with newId()', left(of_gid, 100));
  end if;
  made := :schema.uuid_ms(of_gid::uuid) + begun_ms;
  if made > floor(extract(epoch from clock_timestamp()) * 1000) + 86400000 then
    raise exception using errcode = 'WB020', message = format(
      'the gid %s was made more than a day ahead of this database''s clock: correct the clock of the machine that made it', of_gid);
  end if;
  return made;
end
$$;

-- The time stored in a row when its operation was begun: null if the gid has it to the hour.
create function :schema.barrier_late(of_gid uuid, begun_ms bigint) returns bigint
language sql immutable
return case when begun_ms > 3600000 then :schema.uuid_ms(of_gid) + begun_ms end;

-- The slot of an operation, or an error (WB020) if the barrier cannot know it: barrier_made raises it, or it was begun
-- longer ago than the retention. An operation that the ring has forgotten must never be treated as new.
create function :schema.barrier_slot(of_gid text, begun_ms bigint, retention_ms bigint) returns smallint
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  made bigint := :schema.barrier_made(of_gid, begun_ms);
  age_ms bigint := floor(extract(epoch from clock_timestamp()) * 1000) - made;
begin
  if age_ms > least(retention_ms, 90 * 86400000::bigint) then
    raise exception using errcode = 'WB020', message = format(
      'the operation of gid %s was begun %s hours ago, and the barrier remembers the last %s hours: find out by hand '
      'whether it has happened', of_gid, age_ms / 3600000, retention_ms / 3600000);
  end if;
  return :schema.barrier_slot_at(made);
end
$$;

-- Passes the barrier, as the first write of the operation's transaction; false if another row was first: that of the
-- operation itself, or a tombstone. Waits for a concurrent transaction.
create function :schema.barrier_pass(of_gid text, of_branch text, of_op text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 0, 90 * 86400000::bigint);
begin
  perform :schema.commit_to_disk();
  insert into :schema.barrier (slot, gid, branch, op, reason) values (in_slot, of_gid::uuid, of_branch, of_op, of_op)
  on conflict do nothing;
  return found;
end
$$;

-- Sets a tombstone, and returns the row's reason after that: that of the first. From then on the result never
-- changes. An operation that is still open is waited for, at most wait_ms (55P03). The result is on disk when it
-- arrives, including the operation's commit, which may have been left to a later flush.
create function :schema.barrier_tombstone(of_gid text, of_branch text, of_op text, of_reason text, wait_ms integer)
returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_slot smallint := :schema.barrier_slot(of_gid, 0, 90 * 86400000::bigint);
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

-- Fails the current transaction, so that it cannot commit the barrier's row without the work.
create function :schema.barrier_abandon() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'WB021', message = 'the work guarded by a barrier has failed';
end
$$;

-- Passes the barrier with an operation, as the first write of its transaction. origin is the operation that it undoes
-- (null: none), begun origin_begun_ms after the gid's time: it is inserted first, so that it can no longer happen
-- later. All callers insert in this order, so there are no deadlocks. A concurrent transaction is waited for, at most
-- wait_ms (55P03). In READ COMMITTED the later statements see its rows; with a fixed snapshot they fail by themselves
-- (40001). An origin that the barrier has forgotten was done if origin_done says so; otherwise it is not known (WB022).
-- outcome: done (do it now); duplicate (it has been done; result is its result); empty (its origin has not
-- happened, and will not); refused (it came after the operation that undoes it).
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
      -- If its saga knows that it was done, it was: elsewhere, or by hand, without a row in this database.
      nothing_done := :schema.barrier_bar(of_gid::uuid, of_branch, origin, origin_begun_ms, of_op)
        and not coalesce(origin_done, false);
    elsif not origin_done then
      raise exception using errcode = 'WB022', message = format(
        'the operation that %s of branch %s of %s undoes was begun %s hours ago, the barrier has forgotten it, and its saga does not '
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
  -- The rows that the result depends on must be on disk before this transaction.
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

-- Prevents an operation from happening later, for the operation that undoes it (by_op). True if it has not happened: it
-- never came, was rejected, or is ongoing and has done nothing yet; its end then comes too late.
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
    -- It may be ending right now: the row's lock decides which of the two is first, and the read after it counts.
    execute format(look || ' for update', slot_name) into first_reason using in_slot, of_gid, of_branch, of_op;
    if first_reason in ('ongoing', 'ongoing-effect') then
      execute format('update :schema.%I b set reason = $5 where b.slot = $1 and b.gid = $2 and b.branch = $3 and b.op = $4',
                     slot_name) using in_slot, of_gid, of_branch, of_op, by_op;
    end if;
  end if;
  return first_reason in ('ongoing', 'rejected');
end
$$;

-- Records that an operation which has passed in this transaction continues after it. of_reason: ongoing, or
-- ongoing-effect if it has done something that must be undone.
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

-- Ends an ongoing operation (new_reason: the operation itself, or rejected; null leaves it ongoing). Returns what it
-- was: ongoing, ongoing-effect; any other reason means that it can no longer be ended, null that it is not known here.
-- The transactions of the operation itself, and of the one that undoes it, are waited for, at most wait_ms (55P03).
create function :schema.barrier_end(
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

-- Stores the result of an operation.
create function :schema.barrier_keep(of_gid text, of_branch text, of_op text, of_result text, begun_ms bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.barrier_result (slot, gid, branch, op, result)
  values (:schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms)), of_gid::uuid, of_branch, of_op, of_result);
$$;

-- Removes the row that prevented an operation.
create function :schema.barrier_pardon(of_gid text, of_branch text, of_op text, begun_ms bigint) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  delete from :schema.barrier b
   where b.slot = :schema.barrier_slot_at(:schema.barrier_made(of_gid, begun_ms)) and b.gid = of_gid::uuid
     and b.branch = of_branch and b.op = of_op and b.reason = 'rejected';
$$;

-- Records that an operation was rejected.
create function :schema.barrier_reject(of_gid text, of_branch text, of_op text, retention_ms bigint, begun_ms bigint)
returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
  insert into :schema.barrier (slot, gid, branch, op, reason, made_ms)
  values (:schema.barrier_slot(of_gid, begun_ms, retention_ms), of_gid::uuid, of_branch, of_op, 'rejected',
          :schema.barrier_late(of_gid::uuid, begun_ms))
  on conflict do nothing;
$$;

-- Empties a slot of the barrier if every operation in it was begun longer than 90 days and an hour ago, whatever
-- retention callers set: one that can still be accepted is never forgotten. A gid has the time of its rows to the hour,
-- or made_ms has. Fails with 55P03 if the lock is not available within 50 ms.
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
