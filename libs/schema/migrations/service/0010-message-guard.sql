-- The message-id guard: which message ids have taken effect, and the results, in the database of the effect. For
-- sources that may send a message twice; records of the log are identified by their entry (0003) and need no row here.

-- A ring of 16 slots of 8 days; a row is in the slot of the time when it was written. Rows are never updated, and
-- are removed when every row of their slot is past keep_until. result is JSON; null if the work had none.
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

-- The number of the 8-day period of a time; its slot is that modulo 16.
create function :schema.message_slot_number(at timestamptz) returns bigint
language sql immutable
return floor(extract(epoch from at) / 691200)::bigint;

-- One function per slot looks a message up in that slot only. One statement over the whole ring would lock every slot
-- until the transaction ends, including those to be emptied, and slow handlers would keep them from being emptied
-- forever.
do $do$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.idempotent_message for values in (%s)
                      with (autovacuum_enabled = off)', 'idempotent_message_s' || slot, slot);
  end loop;
  execute format($f$
    create function :schema.message_look(low bigint, high bigint, of_consumer text, of_id text)
    returns table (found_result text, found_at timestamptz)
    language plpgsql set enable_seqscan = off set enable_bitmapscan = off set search_path = pg_catalog, pg_temp
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
           where m.consumer = of_consumer and m.message_id = of_id;', n, 'idempotent_message_s' || n), e'\n        ')
       from generate_series(0, 15) n));
end
$do$;

-- Enters a message's id, before its work. The id's lock comes first and is held until the transaction ends; whether the
-- message is known is looked up after it, in a later statement: a concurrent duplicate waits, at most wait_ms
-- (55P03), and then finds what the first one has committed. wait_ms 0 does not wait.
-- judged_ms: the time of the message for the window; null if not known. slack_ms: how far ahead it may be.
-- outcome: new; duplicate; busy (another transaction holds it); outside (judged_ms is not within the window, so a row
-- may have existed).
create function :schema.message_enter(of_consumer text, of_id text, judged_ms bigint, window_ms bigint, slack_ms bigint,
                                      wait_ms integer)
returns table (outcome text, result text, now_ms bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  lock_key bigint := hashtextextended(of_id, hashtextextended(of_consumer, hashtext(':schema.message')));
  old_timeout text;
  now_at timestamptz;
begin
  perform :schema.acl_assert_guard(of_consumer);
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'WB009', message = format(
      'the transaction is %s and would not see what a concurrent one has committed',
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
  -- One slot more than the clock requires: it may have been set back since.
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

-- Stores the result of a message, at the end of the transaction that entered it.
create function :schema.message_keep(of_consumer text, of_id text, keep_ms bigint, of_result text)
returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  perform :schema.acl_assert_guard(of_consumer);
  insert into :schema.idempotent_message (slot, received_at, keep_until, consumer, message_id, result)
  values ((:schema.message_slot_number(now_at) % 16)::smallint, now_at, now_at + keep_ms * interval '1 millisecond',
          of_consumer, of_id, of_result);
  return true;
end
$$;

-- Empties a slot if every row in it has expired. Checks without a lock first, so that a slot still in use costs
-- nothing, and again after taking the lock, which is waited for at most 50 ms (55P03).
create function :schema.message_empty_slot(slot_number integer) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set enable_seqscan = off set search_path = pg_catalog, pg_temp
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
