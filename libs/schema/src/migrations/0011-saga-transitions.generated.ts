// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0011: Migration = {
  number: 11,
  name: '0011-saga-transitions',
  breaking: false,
  checksum: '5b213d3050983f6b18be49a94059060e7abc7b3e127a153d131a60b7799b6ec1',
  sql: `-- A transition of a saga is sent without waiting for an answer: what must not be is an error now, where it was an answer.

create function :schema.saga_overtaken(saga_id uuid, from_revision bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = 'XX000', message = format(
    'saga %s is not at revision %s any more, in spite of its lock', saga_id, from_revision);
end
$$;

-- Writes a transition: the saga as it is now, and what happened. Fails when another transition was faster.
-- exactly: whether wake_at is set as it is, not left where it would only be early.
create or replace function :schema.saga_save(
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

-- Writes the last transition of a saga, and puts it and its ended children to the ended ones. Fails as saga_save.
create or replace function :schema.saga_end(
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

-- What sagas wait for from other services, and what came for a saga that nothing waited for.

-- A step that waits for an event: what the event must carry. waiter: the saga's type and the step, as type/step; each gets an
-- event of its own.
create table :schema.saga_event_wait (
  saga_id     uuid not null,
  step        text not null,
  reply_topic text not null,
  waiter      text not null,
  match       text not null,
  since       timestamptz not null default clock_timestamp(),
  primary key (saga_id, step)
);

create index saga_event_wait_match on :schema.saga_event_wait (reply_topic, waiter, match, since);

-- Events that no saga waits for yet.
create table :schema.saga_event (
  id          bigint generated always as identity primary key,
  reply_topic text not null,
  topic       text not null,
  waiter      text not null,
  match       text not null,
  arrived_at  timestamptz not null default clock_timestamp(),
  expires_at  timestamptz not null,
  content     json not null
);

create index saga_event_match on :schema.saga_event (reply_topic, waiter, match, id);
create index saga_event_expires on :schema.saga_event (reply_topic, expires_at);

-- What has come for a saga and changed nothing: signals that nothing waits for, what came behind the end.
create table :schema.saga_ignored (
  id          bigint generated always as identity primary key,
  ignored_at  timestamptz not null default clock_timestamp(),
  reply_topic text not null,
  saga_id     uuid not null,
  kind        text not null,
  name        text,
  why         text not null,
  content     json not null
);

create index saga_ignored_saga on :schema.saga_ignored (saga_id, id);
create index saga_ignored_at on :schema.saga_ignored (ignored_at);

-- Orders a step that begins to wait and an event that comes: the later of the two sees what the earlier has left.
create function :schema.saga_event_lock(of_waiter text, of_match text) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
  select pg_advisory_xact_lock(hashtextextended(':schema.saga_event ' || of_waiter || ' ' || of_match, 0::bigint));
$$;

-- Lets a step wait for an event. The oldest that has come already is taken instead, and handed out.
create function :schema.saga_await_event(of_saga uuid, of_step text, to_reply_topic text, of_waiter text, of_match text)
returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  taken text;
begin
  perform :schema.saga_event_lock(of_waiter, of_match);
  delete from :schema.saga_event e
   where e.id = (select f.id from :schema.saga_event f
                  where f.reply_topic = to_reply_topic and f.waiter = of_waiter and f.match = of_match
                  order by f.id limit 1)
  returning e.content::text into taken;
  if taken is null then
    insert into :schema.saga_event_wait (saga_id, step, reply_topic, waiter, match)
    values (of_saga, of_step, to_reply_topic, of_waiter, of_match)
    on conflict (saga_id, step) do update set match = excluded.match;
  end if;
  return taken;
end
$$;

-- An event has come: hands out the step that has waited longest for it; keeps it where none waits.
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
`,
};
