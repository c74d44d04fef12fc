// Made by scripts/build-sql.mjs from ../../migrations; do not edit.
import type { Migration } from '../migration.js';

export const migration0016: Migration = {
  number: 16,
  name: '0016-saga-events',
  breaking: false,
  checksum: '53b6b80540cd08c217ddadf50bb520d53ecb1ae81578742035f00317daae8e93',
  sql: `-- What sagas wait for from other services, and what came for a saga that nothing waited for.

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
