-- Sagas: active and ended ones, their transitions, and the entities that participants hold for them.

-- Active sagas. state: 1 running, 2 compensating, 3 stuck; an ended child (4 completed, 5 compensated, 6 cancelled)
-- stays until its parent has ended, because the parent may undo it. reply_topic: the topic for replies to it; the
-- service that reads it runs the saga. content: data, steps, signals etc., as the machine reads them; times
-- in it count from started_at. fingerprint: the shape of the definition that it began with. wake_at: when something is
-- due; it may be early, never late: a transition leaves it unchanged if it can, so that its update needs no new index
-- entry.
create table :schema.saga (
  id                 uuid primary key,
  saga_type          text not null,
  definition_version integer not null,
  saga_key           text not null,
  reply_topic        text not null,
  state              smallint not null check (state between 1 and 6),
  revision           bigint not null default 1,
  started_at         timestamptz not null,
  changed_at         timestamptz not null,
  wake_at            timestamptz,
  parent_id          uuid,
  parent_step        text,
  reason             text,
  fingerprint        text,
  content            json not null
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

create unique index saga_key on :schema.saga (saga_type, saga_key);
create index saga_wake on :schema.saga (reply_topic, wake_at) where wake_at is not null;
create index saga_stuck on :schema.saga (id) where state = 3;
create index saga_orphan on :schema.saga (parent_id) where parent_id is not null and state >= 4;
create index saga_child on :schema.saga (parent_id) where parent_id is not null;

-- The slot of all rows about a saga: 16 slots of 4 days, by the time in its id (UUIDv7, RFC 9562).
create function :schema.saga_slot(saga_id uuid) returns smallint
language sql immutable
return (:schema.uuid_ms(saga_id) / 345600000 % 16)::smallint;

-- Ended sagas.
create table :schema.saga_ended (
  slot               smallint not null,
  id                 uuid not null,
  saga_type          text not null,
  definition_version integer not null,
  saga_key           text not null,
  reply_topic        text not null,
  state              smallint not null check (state between 4 and 6),
  revision           bigint not null,
  started_at         timestamptz not null,
  ended_at           timestamptz not null,
  parent_id          uuid,
  parent_step        text,
  reason             text,
  content            json not null,
  primary key (slot, id)
) partition by list (slot);

create index saga_ended_key on :schema.saga_ended (saga_type, saga_key);
create index saga_ended_child on :schema.saga_ended (parent_id) where parent_id is not null;

-- One row for each transition: the event, and what was done for it.
create table :schema.saga_transition (
  slot     smallint not null,
  saga_id  uuid not null,
  revision bigint not null,
  at       timestamptz not null default clock_timestamp(),
  state    smallint not null,
  content  json not null,
  primary key (slot, saga_id, revision)
) partition by list (slot);

-- Rows are removed by TRUNCATE; those of a slot that cannot be emptied are deleted, so autovacuum handles only these.
do $$
begin
  for slot in 0..15 loop
    execute format('create table :schema.%I partition of :schema.saga_ended for values in (%s)
                      with (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000)', 'saga_ended_s' || slot, slot);
    execute format('create table :schema.%I partition of :schema.saga_transition for values in (%s)
                      with (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000)', 'saga_transition_s' || slot, slot);
  end loop;
end
$$;

-- Begins a saga, unless one of its type and key exists, active or ended: then that one is returned. The insert takes
-- the key; ended ones are looked up after it, in a later statement.
create function :schema.saga_start(
  saga_id uuid, of_type text, of_version integer, of_key text, to_topic text, in_state smallint, wake_ms bigint,
  of_parent uuid, of_parent_step text, why text, of_fingerprint text, of_content json, of_transition json)
returns table (id uuid, created boolean, started_at timestamptz)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  insert into :schema.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at,
                            wake_at, parent_id, parent_step, reason, fingerprint, content)
  values (saga_id, of_type, of_version, of_key, to_topic, in_state, now_at, now_at,
          now_at + wake_ms * interval '1 millisecond', of_parent, of_parent_step, why, of_fingerprint, of_content)
  on conflict (saga_type, saga_key) do nothing;
  if not found then
    return query select s.id, false, s.started_at from :schema.saga s
                  where s.saga_type = of_type and s.saga_key = of_key
                 union all
                 select e.id, false, e.started_at from :schema.saga_ended e
                  where e.saga_type = of_type and e.saga_key = of_key;
    return;
  end if;
  return query select e.id, false, e.started_at from :schema.saga_ended e where e.saga_type = of_type and e.saga_key = of_key;
  if found then
    delete from :schema.saga s where s.id = saga_id;
    return;
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, 1, now_at, in_state, of_transition);
  return query select saga_id, true, now_at;
end
$$;

-- Writes a transition: the saga's new state, and what happened. Fails if another transition was faster.
-- exactly: whether wake_at is set exactly, not left unchanged where it would only be early.
create function :schema.saga_save(
  saga_id uuid, from_revision bigint, in_state smallint, wake_ms bigint, exactly boolean, why text, of_content json,
  of_transition json)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
begin
  update :schema.saga s
     set revision = s.revision + 1, state = in_state, changed_at = now_at, reason = why, content = of_content,
         wake_at = case
           when exactly or s.wake_at is null or s.started_at + wake_ms * interval '1 millisecond' < s.wake_at
             then s.started_at + wake_ms * interval '1 millisecond'
           else s.wake_at
         end
   where s.id = saga_id and s.revision = from_revision;
  if not found then
    perform :schema.saga_overtaken(saga_id, from_revision);
  end if;
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(saga_id), saga_id, from_revision + 1, now_at, in_state, of_transition);
  return true;
end
$$;

-- Writes the last transition of a saga, and moves it and its ended children to the ended sagas. Fails like saga_save.
create function :schema.saga_end(
  of_saga uuid, from_revision bigint, in_state smallint, why text, of_content json, of_transition json)
returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  now_at timestamptz := clock_timestamp();
  done :schema.saga;
begin
  delete from :schema.saga s where s.id = of_saga and s.revision = from_revision returning s.* into done;
  if not found then
    perform :schema.saga_overtaken(of_saga, from_revision);
  end if;
  delete from :schema.saga_event_wait w where w.saga_id = of_saga;
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  values (:schema.saga_slot(of_saga), of_saga, done.saga_type, done.definition_version, done.saga_key,
          done.reply_topic, in_state, from_revision + 1, done.started_at, now_at, done.parent_id, done.parent_step, why,
          of_content);
  insert into :schema.saga_transition (slot, saga_id, revision, at, state, content)
  values (:schema.saga_slot(of_saga), of_saga, from_revision + 1, now_at, in_state, of_transition);
  with recursive children as (
    select s.id from :schema.saga s where s.parent_id = of_saga and s.state >= 4
    union all
    select s.id from :schema.saga s join children c on s.parent_id = c.id where s.state >= 4
  ), gone as (
    delete from :schema.saga s using children c where s.id = c.id returning s.*
  )
  insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                  started_at, ended_at, parent_id, parent_step, reason, content)
  select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state,
         g.revision, g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
    from gone g;
  return true;
end
$$;

-- Empties a slot of the ended sagas and their transitions if all of them are older than keep_ms and no saga that
-- began in its days is active. Fails with 55P03 if the locks are not available within 50 ms.
create function :schema.saga_empty_slot(slot_number integer, keep_ms bigint) returns boolean
language plpgsql security definer set lock_timeout = '50ms' set search_path = pg_catalog, pg_temp
as $$
declare
  ended text := 'saga_ended_s' || slot_number;
  transitions text := 'saga_transition_s' || slot_number;
  attributes text := 'saga_attribute_s' || slot_number;
  horizon timestamptz := clock_timestamp() - keep_ms * interval '1 millisecond';
  needed boolean;
  filled boolean;
begin
  if not :schema.acl_open() then
    return false;
  end if;
  execute format('select exists (select from :schema.%I)', transitions) into filled;
  if not filled then
    return false;
  end if;
  for pass in 1..2 loop
    execute format(
      'select exists (select from :schema.%I e where e.ended_at >= $1)
           or exists (select from :schema.%I t where t.at >= $1)
           or exists (select from :schema.saga s where :schema.saga_slot(s.id) = $2)', ended, transitions)
      into needed using horizon, slot_number::smallint;
    if needed then
      return false;
    end if;
    if pass = 1 then
      execute format('lock table only :schema.%I, only :schema.%I, only :schema.%I in access exclusive mode', ended, transitions,
                     attributes);
    end if;
  end loop;
  execute format('truncate only :schema.%I, only :schema.%I, only :schema.%I', ended, transitions, attributes);
  return true;
end
$$;

-- Entities that participants hold for sagas, in the participant's database: an entity belongs to one saga until
-- released.
create table :schema.saga_lock (
  entity    text primary key,
  saga_id   uuid not null,
  branch    text not null,
  locked_at timestamptz not null default clock_timestamp()
);

create index saga_lock_saga on :schema.saga_lock (saga_id);

-- Commands that wait for an entity held for another saga, in order of arrival.
create table :schema.saga_stash (
  id          bigint generated always as identity primary key,
  entity      text not null,
  expires_at  timestamptz not null,
  topic       text not null,
  message_key text,
  headers     json not null,
  control     json not null,
  payload     bytea
);

create index saga_stash_entity on :schema.saga_stash (entity, id);
create index saga_stash_expires on :schema.saga_stash (expires_at);

-- Holds an entity for a saga. False if another saga has it: that saga's row is then locked until this transaction ends,
-- so that a release precedes the check, or waits and finds the stashed command.
create function :schema.saga_hold(of_entity text, of_saga uuid, of_branch text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  holder uuid;
begin
  loop
    insert into :schema.saga_lock (entity, saga_id, branch) values (of_entity, of_saga, of_branch)
    on conflict (entity) do nothing;
    if found then
      return true;
    end if;
    select l.saga_id into holder from :schema.saga_lock l where l.entity = of_entity for update;
    if found then
      return holder = of_saga;
    end if;
  end loop;
end
$$;

-- Stashes a command until the entity is free; false if the maximum number already waits.
create function :schema.saga_stash_command(
  of_entity text, most integer, wait_ms bigint, to_topic text, of_key text, of_headers json,
  of_control json, of_payload bytea)
returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (select count(*) from (select from :schema.saga_stash s where s.entity = of_entity limit most) w) >= most then
    return false;
  end if;
  insert into :schema.saga_stash (entity, expires_at, topic, message_key, headers, control, payload)
  values (of_entity, clock_timestamp() + wait_ms * interval '1 millisecond', to_topic, of_key, of_headers,
          of_control, of_payload);
  return true;
end
$$;

-- Releases what a saga holds: one entity, those of one branch, or all. Returns the commands that waited.
create function :schema.saga_release(of_saga uuid, of_branch text, of_entity text)
returns table (topic text, message_key text, headers text, control text, payload bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  freed text[];
begin
  with gone as (
    delete from :schema.saga_lock l
     where l.saga_id = of_saga and (of_branch is null or l.branch = of_branch)
       and (of_entity is null or l.entity = of_entity)
    returning l.entity
  )
  select array_agg(g.entity) into freed from gone g;
  return query
    with woken as (
      delete from :schema.saga_stash s where s.entity = any (freed)
      returning s.id, s.topic, s.message_key, s.headers::text as headers, s.control::text as control,
                s.payload
    )
    select w.topic, w.message_key, w.headers, w.control, w.payload from woken w order by w.id;
end
$$;

-- Keys with which a service's sagas recognise their own commands and events, and the replies to them. The newest one
-- signs.
create table :schema.saga_mac_key (
  id          bigint generated always as identity primary key,
  reply_topic text not null,
  secret      bytea not null check (length(secret) >= 32),
  created_at  timestamptz not null default clock_timestamp()
);

create index saga_mac_key_topic on :schema.saga_mac_key (reply_topic, id);

-- Messages to a service's sagas that are not genuine: they were forged. At most 1,000 per service.
create table :schema.saga_refusal (
  id               bigint generated always as identity primary key,
  refused_at       timestamptz not null default clock_timestamp(),
  reply_topic      text not null,
  saga_id          text,
  step             text,
  why              text not null,
  message_id       text,
  partition_number integer not null,
  log_offset       bigint not null
);

create index saga_refusal_topic on :schema.saga_refusal (reply_topic);

-- Orders of operators to sagas. The saga's service executes them under the saga's lock and stores the outcome.
-- actor is the login, stated_by the name given.
create table :schema.saga_order (
  id          bigint generated always as identity primary key,
  saga_id     uuid not null,
  reply_topic text not null,
  event       jsonb not null,
  revision    bigint not null,
  actor       text not null default session_user,
  stated_by   text not null,
  reason      text,
  ordered_at  timestamptz not null default clock_timestamp(),
  outcome     text check (outcome in ('applied', 'refused')),
  why         text,
  settled_at  timestamptz,
  bulk_id     bigint
);

create index saga_order_open on :schema.saga_order (reply_topic, id) where outcome is null;
create index saga_order_saga on :schema.saga_order (saga_id, id);

create index saga_order_bulk on :schema.saga_order (bulk_id, outcome) where bulk_id is not null;

-- Gives an order to a saga, valid only while the saga is at that revision, and records who gave it, by login and by
-- the stated name. order_event: {"type": "retry" or "skip", "step"}, {"type": "resolve", "step", "data"} or
-- {"type": "compensate" or "cancel", "reason"}. The login needs the right to execute this function and no other.
create function :schema.order_saga(of_saga uuid, order_event jsonb, at_revision bigint, stated_by text,
                                   order_reason text default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  topic text;
  kind text := order_event->>'type';
  order_id bigint;
begin
  if kind is null or kind not in ('retry', 'skip', 'resolve', 'compensate', 'cancel')
     or (kind in ('retry', 'skip', 'resolve') and coalesce(jsonb_typeof(order_event->'step'), '') <> 'string')
     or (kind = 'resolve' and coalesce(jsonb_typeof(order_event->'data'), '') <> 'object')
     or (kind in ('compensate', 'cancel') and coalesce(jsonb_typeof(order_event->'reason'), '') <> 'string') then
    raise exception using errcode = '22023', message = 'the order is not valid for a saga';
  end if;
  if coalesce(btrim(stated_by), '') = '' then
    raise exception using errcode = '22023', message = 'stated_by must name who gives the order';
  end if;
  select s.reply_topic into topic from :schema.saga s where s.id = of_saga;
  if topic is null or not (:schema.acl_open() or :schema.acl_reads_topic(topic)) then
    raise exception using errcode = '22023', message = format('no saga %s is active', of_saga);
  end if;
  insert into :schema.saga_order (saga_id, reply_topic, event, revision, actor, stated_by, reason)
  values (of_saga, topic, order_event, at_revision, session_user, order_saga.stated_by, order_reason)
  returning id into order_id;
  insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
  values (order_saga.stated_by, 'saga.' || kind, 'saga', of_saga::text, order_reason,
          jsonb_build_object('orderId', order_id, 'event', order_event, 'revision', at_revision));
  return order_id;
end
$$;
