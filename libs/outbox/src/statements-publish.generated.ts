// Made by scripts/build-sql.mjs from ../sql/publish; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Writes one message with control headers, which only Waybill itself sets, into the current slot of the outbox.
 * current-slot.ts fills in :slot.
 * known_topic is asked only for the error: calling a function with settings of its own costs more than the look-up.
 * Locks: none but the new row
 */
export const insertControlMessage = statement<[messageId: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, expiresAtMs: number | null, signature: string | null, control: string], Record<never, never>>('insert-control-message', `insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload, expires_at_ms,
                                   signature, control)
values (:slot, $1::uuid,
        coalesce((select t.name from :schema.topic t
                   where t.name = $2::text and t.outbox_full is null
                     and ($3::integer is null or $3::integer between 0 and t.partition_count - 1)),
                 :schema.known_topic($2::text, $3::integer)),
        $3::integer, $4::text, $5::jsonb, $6::bytea,
        $7::bigint, $8::text, $9::jsonb)`);

/**
 * Writes messages into the outbox, some with control headers, which only Waybill itself sets, in the order of the
 * array. Otherwise like insert-scheduled-messages.
 * Locks: none but the new rows
 */
export const insertControlMessages = statement<[messages: string], Record<never, never>>('insert-control-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at,
                            timer_token, expires_at_ms, signature, control)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key,
       m.headers, pg_catalog.decode(m.payload, 'base64'), case when d.deliver_at is not null then 1 end, d.deliver_at, m."timerToken", d.expires_ms, m.signature, m.control
  from pg_catalog.jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "deliverAt" timestamptz,
          "delayMs" bigint, "expiresAtMs" bigint, "ttlMs" bigint, "timerToken" text, signature text, control jsonb)
 cross join lateral :schema.delivery_time(m.topic, m."deliverAt", m."delayMs", m."expiresAtMs", m."ttlMs") d`);

/**
 * Writes one message into the current slot of the outbox, in the caller's transaction. Naming the slot saves the
 * server the routing. current-slot.ts fills in :slot.
 * known_topic is asked only for the error: calling a function with settings of its own costs more than the look-up.
 * Locks: none but the new row
 */
export const insertMessage = statement<[messageId: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, expiresAtMs: number | null, signature: string | null], Record<never, never>>('insert-message', `insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload,
                                   expires_at_ms, signature)
values (:slot, $1::uuid,
        coalesce((select t.name from :schema.topic t
                   where t.name = $2::text and t.outbox_full is null
                     and ($3::integer is null or $3::integer between 0 and t.partition_count - 1)),
                 :schema.known_topic($2::text, $3::integer)),
        $3::integer, $4::text, $5::jsonb, $6::bytea, $7::bigint, $8::text)`);

/**
 * Writes several messages into the outbox, in the caller's transaction and in the order of the array.
 * Locks: none but the new rows
 */
export const insertMessages = statement<[messages: string], Record<never, never>>('insert-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, expires_at_ms, signature)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key, m.headers, pg_catalog.decode(m.payload, 'base64'),
       m."expiresAtMs", m.signature
  from pg_catalog.jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "expiresAtMs" bigint, signature text)`);

/**
 * Writes messages into the outbox, some with a delay or an expiry, in the caller's transaction and in
 * the order of the array. Delays and times to live use the database's clock.
 * Locks: none but the new rows
 */
export const insertScheduledMessages = statement<[messages: string], Record<never, never>>('insert-scheduled-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at,
                            timer_token, expires_at_ms, signature)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key,
       m.headers, pg_catalog.decode(m.payload, 'base64'), case when d.deliver_at is not null then 1 end, d.deliver_at, m."timerToken", d.expires_ms, m.signature
  from pg_catalog.jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "deliverAt" timestamptz,
          "delayMs" bigint, "expiresAtMs" bigint, "ttlMs" bigint, "timerToken" text, signature text)
 cross join lateral :schema.delivery_time(m.topic, m."deliverAt", m."delayMs", m."expiresAtMs", m."ttlMs") d`);

/**
 * Writes into the outbox that scheduled messages are cancelled (action 2) or moved to another time (action 3):
 * the one with an id, or all with a token. The key is the login, with whose rights the relay finds them.
 * Locks: none but the new row
 */
export const insertTimerChange = statement<[change: string], Record<never, never>>('insert-timer-change', `insert into :schema.outbox (message_id, topic, key, timer_action, timer_token, deliver_at)
select c.id, '', session_user::text, c.action, c.token,
       coalesce(c."deliverAt", pg_catalog.clock_timestamp() + c."delayMs"::double precision * interval '1 millisecond')
  from pg_catalog.jsonb_to_record($1::jsonb)
    as c (id uuid, action smallint, token text, "deliverAt" timestamptz, "delayMs" bigint)`);

/**
 * Makes publishers of one key take turns, for order 'strict': each key maps to one of 1,024 locks, taken in ascending
 * order.
 * Locks: advisory, until the caller's transaction ends
 */
export const lockKeys = statement<[keys: string], { locks: number }>('lock-keys', `select pg_catalog.count(pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext(':schema.key'), k.bucket))::integer as locks
  from (select distinct pg_catalog.abs(pg_catalog.hashtext(e.value) % 1024) as bucket
          from pg_catalog.jsonb_array_elements_text($1::jsonb) as e (value)
         order by 1) k`);
