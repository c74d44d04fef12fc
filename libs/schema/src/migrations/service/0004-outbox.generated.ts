// Made by scripts/build-sql.mjs from ../../../migrations; do not edit.
import type { Migration } from '../../migration.js';

export const serviceMigration0004: Migration = {
  number: 4,
  name: '0004-outbox',
  breaking: false,
  checksum: 'f2f054c91cd1877174cc2fadf86fedf966ac37321257b7fbe4b4fbbf79af4108',
  sql: `-- The outbox: an append-only ring of time slots that producers insert into, in their own transactions.

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
`,
};
