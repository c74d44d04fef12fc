// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0015: Migration = {
  number: 15,
  name: '0015-saga-transitions',
  breaking: false,
  checksum: '4263fa83f2fc82597f4ac9eaa2db045e0f7604afe6147523bc0a7bf34ebcb1e6',
  sql: `-- A transition of a saga is sent without waiting for the response: an impossible state must be an error.

create function :schema.saga_overtaken(saga_id uuid, from_revision bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'XX000', message = format(
    'saga %s is no longer at revision %s, in spite of its lock', saga_id, from_revision);
end
$$;

-- Events that sagas wait for from other services, and events that nothing waited for.

-- A step that waits for an event, and what the event must match. waiter: the saga's type, the step and the topic, as
-- type/step@topic; each gets its own event. unseen: it was written by a transaction with a fixed snapshot, which could
-- not see events stored by others: they must be looked up again.
create table :schema.saga_event_wait (
  saga_id     uuid not null,
  step        text not null,
  reply_topic text not null,
  waiter      text not null,
  match       text not null,
  since       timestamptz not null default clock_timestamp(),
  unseen      boolean not null default false,
  primary key (saga_id, step)
);

create index saga_event_wait_unseen on :schema.saga_event_wait (reply_topic) where unseen;

create index saga_event_wait_match on :schema.saga_event_wait (reply_topic, waiter, match, since);

-- Events that no saga waits for yet. failures: how often the handler for events without a saga has failed.
create table :schema.saga_event (
  id          bigint generated always as identity primary key,
  reply_topic text not null,
  topic       text not null,
  waiter      text not null,
  match       text not null,
  arrived_at  timestamptz not null default clock_timestamp(),
  expires_at  timestamptz not null,
  failures    integer not null default 0,
  content     json not null
);

create index saga_event_match on :schema.saga_event (reply_topic, waiter, match, id);
create index saga_event_expires on :schema.saga_event (reply_topic, expires_at);

-- Messages for a saga that changed nothing: signals that nothing waits for, messages after its end. An event that no
-- saga ever waited for has no saga_id.
create table :schema.saga_ignored (
  id          bigint generated always as identity primary key,
  ignored_at  timestamptz not null default clock_timestamp(),
  reply_topic text not null,
  saga_id     uuid,
  kind        text not null,
  name        text,
  why         text not null,
  content     json not null
);

create index saga_ignored_saga on :schema.saga_ignored (saga_id, id);
create index saga_ignored_at on :schema.saga_ignored (ignored_at);

-- Serialises a step that begins to wait and an event that arrives: the later of the two sees the row of the earlier.
create function :schema.saga_event_lock(of_waiter text, of_match text) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  select pg_advisory_xact_lock(hashtextextended(':schema.saga_event ' || of_waiter || ' ' || of_match, 0::bigint));
$$;

-- Lets a step wait for an event. If events have already arrived, the oldest is taken and returned instead.
create function :schema.saga_await_event(of_saga uuid, of_step text, to_reply_topic text, of_waiter text, of_match text)
returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  taken text;
  is_blind constant boolean := current_setting('transaction_isolation') in ('repeatable read', 'serializable');
begin
  perform :schema.saga_event_lock(of_waiter, of_match);
  if is_blind then
    insert into :schema.saga_event_wait (saga_id, step, reply_topic, waiter, match, unseen)
    values (of_saga, of_step, to_reply_topic, of_waiter, of_match, true)
    on conflict (saga_id, step) do update set waiter = excluded.waiter, match = excluded.match, unseen = true;
    return null;
  end if;
  delete from :schema.saga_event e
   where e.id = (select f.id from :schema.saga_event f
                  where f.reply_topic = to_reply_topic and f.waiter = of_waiter and f.match = of_match
                  order by f.id limit 1)
  returning e.content::text into taken;
  if taken is null then
    insert into :schema.saga_event_wait (saga_id, step, reply_topic, waiter, match)
    values (of_saga, of_step, to_reply_topic, of_waiter, of_match)
    on conflict (saga_id, step) do update set waiter = excluded.waiter, match = excluded.match;
  else
    delete from :schema.saga_event_wait w where w.saga_id = of_saga and w.step = of_step;
  end if;
  return taken;
end
$$;

-- Handles an arriving event: returns the step that has waited longest for it; stores the event if none waits.
create function :schema.saga_take_event(
  to_reply_topic text, of_topic text, of_waiter text, of_match text, keep_ms bigint, of_content json)
returns table (saga_id uuid, step text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  perform :schema.saga_event_lock(of_waiter, of_match);
  return query
    delete from :schema.saga_event_wait w
     where (w.saga_id, w.step) = (select f.saga_id, f.step from :schema.saga_event_wait f
                                   where f.reply_topic = to_reply_topic and f.waiter = of_waiter and f.match = of_match
                                   order by f.since, f.saga_id limit 1)
    returning w.saga_id, w.step;
  if not found then
    insert into :schema.saga_event (reply_topic, topic, waiter, match, expires_at, content)
    values (to_reply_topic, of_topic, of_waiter, of_match, clock_timestamp() + keep_ms * interval '1 millisecond', of_content);
  end if;
end
$$;

-- Removes an event that no saga has waited for in time. Its handler and a step that begins to wait are serialised by
-- the same
-- lock: the event goes to one of them.
create function :schema.saga_expire_event(to_reply_topic text)
returns table (id bigint, topic text, waiter text, match text, arrived_at timestamptz, failures integer, content text)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  one record;
begin
  select e.id, e.waiter, e.match into one from :schema.saga_event e
   where e.reply_topic = to_reply_topic and e.expires_at <= clock_timestamp()
   order by e.expires_at limit 1;
  if not found then
    return;
  end if;
  perform :schema.saga_event_lock(one.waiter, one.match);
  return query
    delete from :schema.saga_event e where e.id = one.id and e.expires_at <= clock_timestamp()
    returning e.id, e.topic, e.waiter, e.match, e.arrived_at, e.failures, e.content::text;
end
$$;

-- HTTP calls of transitions: one row for each operation of a branch that calls an endpoint, while its
-- saga is in the table of active sagas. A transition writes them, and in the same transaction voids those that it has
-- given up, so that void calls are no longer made. A try is claimed and committed before it is made, and its response
-- counts while its token is stored here.
-- state: open (to be called at due_at), awaited (the endpoint replies later), told (its reply is in flight to the saga
-- in the log), void. round: of the idempotency key; a new one begins when an operator retries a rejected call. begun:
-- whether a try may have done something. undoes: the operation that it undoes; only_if_begun: it is empty if that one
-- was never begun. due_at of a claimed row is the end of its lease.
create table :schema.saga_call (
  saga_id       uuid not null references :schema.saga (id) on delete cascade,
  branch        text not null,
  op            text not null,
  step          text not null,
  attempt       integer not null,
  round         integer not null default 1,
  reply_topic   text not null,
  definition    text not null,
  host          text not null,
  timeout_ms    integer,
  undoes        text,
  only_if_begun boolean not null default false,
  state         text not null check (state in ('open', 'awaited', 'told', 'void')),
  begun         boolean not null default false,
  rejected      boolean not null default false,
  tries         integer not null default 0,
  due_at        timestamptz,
  token         uuid,
  lease_until   timestamptz,
  last_error    text,
  payload       json not null,
  primary key (saga_id, branch, op)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

create index saga_call_due on :schema.saga_call (reply_topic, host, due_at) where due_at is not null;

-- Writes the calls of a transition, in its transaction: the new ones, and void for those that are no longer active.
-- new_calls: [{branch, op, step, attempt, definition, host, timeoutMs, undoes, onlyIfBegun, again, payload}];
-- under_way: [{branch, op, attempt}]. A call waits for the end of a try of the operation that it repeats or undoes.
create function :schema.saga_calls_save(of_saga uuid, topic text, new_calls json, under_way json) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  one record;
  now_at timestamptz := clock_timestamp();
  free_at timestamptz;
begin
  -- First, because it waits for a concurrent claim: the following statements see its lease.
  perform from :schema.saga_call c where c.saga_id = of_saga order by c.branch, c.op for update;
  for one in
    select * from json_to_recordset(new_calls) as n (
      branch text, op text, step text, attempt integer, definition text, host text, "timeoutMs" integer, undoes text,
      "onlyIfBegun" boolean, again boolean, payload json)
  loop
    select max(c.lease_until) into free_at from :schema.saga_call c
     where c.saga_id = of_saga and c.branch = one.branch and c.op in (one.op, one.undoes);
    insert into :schema.saga_call as c (saga_id, branch, op, step, attempt, reply_topic, definition, host, timeout_ms,
                                        undoes, only_if_begun, state, due_at, payload)
    values (of_saga, one.branch, one.op, one.step, one.attempt, topic, one.definition, one.host, one."timeoutMs",
            one.undoes, one."onlyIfBegun", 'open', greatest(now_at, free_at), one.payload)
    on conflict (saga_id, branch, op) do update
      set attempt = excluded.attempt, step = excluded.step, definition = excluded.definition, host = excluded.host,
          timeout_ms = excluded.timeout_ms, payload = excluded.payload, tries = 0, last_error = null,
          round = case when one.again and c.rejected and c.state <> 'told' then c.round + 1 else c.round end,
          rejected = c.rejected and (c.state = 'told' or not one.again),
          -- A reply in flight is awaited; the call is not repeated.
          state = case when c.state = 'told' then 'told' else 'open' end,
          due_at = case when c.state = 'told' then null else excluded.due_at end;
  end loop;
  update :schema.saga_call c set state = 'void', due_at = null
   where c.saga_id = of_saga and c.state <> 'void'
     and not exists (select from json_to_recordset(under_way) as u (branch text, op text, attempt integer)
                      where u.branch = c.branch and u.op = c.op and u.attempt = c.attempt);
end
$$;

-- Claims due calls of some definitions, up to a limit per host: a host that hangs uses only its own permits.
-- begun: whether an earlier try may have done something. is_empty: it undoes an operation that was never begun.
create function :schema.saga_calls_claim(
  topic text, definitions text[], hosts text[], places integer[], most integer, default_timeout_ms integer,
  margin_ms integer)
returns table (saga_id uuid, branch text, op text, step text, attempt integer, round integer, definition text,
               payload text, tries integer, begun boolean, is_empty boolean, token uuid, lease_ms integer)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  now_at timestamptz := clock_timestamp();
begin
  perform :schema.commit_to_disk();
  return query
    with due as (
      select c.saga_id, c.branch, c.op, c.begun, c.timeout_ms
        from unnest(hosts, places) as h (host, free)
        cross join lateral (
          select d.saga_id, d.branch, d.op, d.begun, d.timeout_ms, d.due_at from :schema.saga_call d
           where d.reply_topic = topic and d.host = h.host and d.due_at <= now_at and d.definition = any (definitions)
           order by d.due_at limit h.free for update skip locked) c
       order by c.due_at limit most
    )
    update :schema.saga_call c
       set token = gen_random_uuid(), tries = c.tries + 1, begun = true, due_at = t.ends_at, lease_until = t.ends_at
      from due
      cross join lateral (
        select coalesce(due.timeout_ms, default_timeout_ms) + margin_ms as lease_ms,
               clock_timestamp() + (coalesce(due.timeout_ms, default_timeout_ms) + margin_ms)
                 * interval '1 millisecond' as ends_at) t
     where c.saga_id = due.saga_id and c.branch = due.branch and c.op = due.op
    returning c.saga_id, c.branch, c.op, c.step, c.attempt, c.round, c.definition, c.payload::text, c.tries, due.begun,
              c.only_if_begun and not exists (
                select from :schema.saga_call a
                 where a.saga_id = c.saga_id and a.branch = c.branch and a.op = c.undoes and a.begun),
              c.token, t.lease_ms;
end
$$;

-- Ends a try, and lets calls that waited for its end begin. outcome: answered, failed (the attempt is given up), again
-- (another try after retry_ms), later (the endpoint replies later). begun_now: whether any try so far may have done
-- something. Returns the call's current attempt; nothing if the try is no longer the newest.
create function :schema.saga_call_end_try(
  of_saga uuid, of_branch text, of_op text, of_token uuid, of_attempt integer, outcome text, retry_ms bigint,
  begun_now boolean, was_rejected boolean, tries_now integer, why text)
returns setof integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
  call :schema.saga_call;
  is_over boolean;
begin
  -- Locked in the order of saga_calls_save: this call, and the one that waits for its end.
  perform from :schema.saga_call c where c.saga_id = of_saga and c.branch = of_branch order by c.branch, c.op for update;
  select c.* into call from :schema.saga_call c
   where c.saga_id = of_saga and c.branch = of_branch and c.op = of_op and c.token = of_token;
  if not found then
    return;
  end if;
  -- The next attempt has its own count.
  is_over := outcome = 'answered' or (outcome = 'failed' and call.attempt = of_attempt);
  update :schema.saga_call c
     set token = null, lease_until = null, begun = begun_now, last_error = why,
         rejected = case when call.state = 'told' then call.rejected else was_rejected end,
         tries = case when call.attempt = of_attempt then tries_now else 0 end,
         state = case when is_over then 'void' when call.state = 'open' and outcome = 'later' then 'awaited'
                      else call.state end,
         due_at = case when not is_over and call.state = 'open' and outcome <> 'later'
                       then now_at + retry_ms * interval '1 millisecond' end
   where c.saga_id = of_saga and c.branch = of_branch and c.op = of_op;
  update :schema.saga_call c set due_at = now_at
   where c.saga_id = of_saga and c.branch = of_branch and c.undoes = of_op and c.state = 'open' and c.token is null
     and c.tries = 0 and c.due_at > now_at;
  return next call.attempt;
end
$$;

-- Records that the reply to a call has arrived, which the log carries to the saga; true if it is the first.
create function :schema.saga_call_reply(
  of_saga uuid, of_step text, of_op text, of_round integer, was_rejected boolean)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  update :schema.saga_call c
     set state = case when c.state = 'void' then 'void' else 'told' end, due_at = null, rejected = was_rejected
   where c.saga_id = of_saga and c.step = of_step and c.op = of_op and c.round = of_round and c.state <> 'told';
  return found;
end
$$;

-- Definitions that processes of a service have, by their shapes: one line for each step. signals: what their steps wait
-- for.
create table :schema.saga_definition (
  reply_topic        text not null,
  saga_type          text not null,
  definition_version integer not null,
  fingerprint        text not null,
  shape              json not null,
  signals            text[] not null,
  first_seen         timestamptz not null default clock_timestamp(),
  seen_at            timestamptz not null default clock_timestamp(),
  primary key (reply_topic, saga_type, definition_version, fingerprint)
);

-- Removes ended sagas, and their transitions, from a slot that cannot be emptied as a whole: a saga that began in its
-- days is active for longer than ended ones are kept, or one of an earlier lap of the ring ended late. At most \`most\`
-- of them; returns how many. Sagas begun less than 8 days ago are left to be emptied with their slot.
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
  -- While nothing keeps the slot from being emptied, only rows that should have been removed with it long ago are.
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

-- Returns commands that wait for an entity which is no longer held, at most \`most\` of them: an operator has released
-- it, or it was released while they were being stashed.
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
`,
};
