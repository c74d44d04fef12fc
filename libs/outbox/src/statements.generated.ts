// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel';

/**
 * Empties one slot of the outbox's ring, when everything in it has been moved and is past retention.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptySlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-slot', `select :schema.outbox_empty_slot($1, $2) as emptied`);

/**
 * Writes one message into the slot of the outbox that is current, to a topic that this process has seen (topics are
 * never removed). :slot is put in by current-slot.ts.
 * Locks: none but the new row
 */
export const insertKnownMessage = statement<[messageId: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null], Record<never, never>>('insert-known-message', `insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload)
values (:slot, $1::uuid, $2::text, $3::integer, $4::text, $5::jsonb, $6::bytea)`);

/**
 * Writes one message into the slot of the outbox that is current, in the caller's transaction. Naming the slot saves the
 * server the routing. :slot is put in by current-slot.ts.
 * Locks: none but the new row
 */
export const insertMessage = statement<[messageId: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null], Record<never, never>>('insert-message', `insert into :schema.outbox_s:slot (slot, message_id, topic, partition_number, key, headers, payload)
values (:slot, $1::uuid, :schema.known_topic($2::text, $3::integer), $3::integer, $4::text, $5::jsonb, $6::bytea)`);

/**
 * Writes several messages into the outbox, in the caller's transaction and in the order of the array.
 * Locks: none but the new rows
 */
export const insertMessages = statement<[messages: string], Record<never, never>>('insert-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key, m.headers, pg_catalog.decode(m.payload, 'base64')
  from pg_catalog.jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text)`);

/**
 * Writes messages into the outbox of which some are for later, or live for a time, in the caller's transaction and in
 * the order of the array. Delays and times to live count by the database's clock.
 * Locks: none but the new rows
 */
export const insertScheduledMessages = statement<[messages: string], Record<never, never>>('insert-scheduled-messages', `insert into :schema.outbox (message_id, topic, partition_number, key, headers, payload, timer_action, deliver_at,
                            timer_token)
select m.id, :schema.known_topic(m.topic, m.partition), m.partition, m.key,
       case when d.expires_at is null then m.headers
            else coalesce(m.headers, '{}') || pg_catalog.jsonb_build_object('waybill-expires-at', d.expires_at) end,
       pg_catalog.decode(m.payload, 'base64'), case when d.deliver_at is not null then 1 end, d.deliver_at, m."timerToken"
  from pg_catalog.jsonb_to_recordset($1::jsonb)
    as m (id uuid, topic text, partition integer, key text, headers jsonb, payload text, "deliverAt" timestamptz,
          "delayMs" bigint, "expiresAtMs" bigint, "ttlMs" bigint, "timerToken" text)
 cross join lateral :schema.delivery_time(m.topic, m."deliverAt", m."delayMs", m."expiresAtMs", m."ttlMs") d`);

/**
 * Writes into the outbox that scheduled messages are to be cancelled (action 2) or moved to another time (action 3):
 * that of an id, or all of a token. The key is the login, by whose rights the relay finds them.
 * Locks: none but the new row
 */
export const insertTimerChange = statement<[change: string], Record<never, never>>('insert-timer-change', `insert into :schema.outbox (message_id, topic, key, timer_action, timer_token, deliver_at)
select c.id, '', session_user::text, c.action, c.token,
       coalesce(c."deliverAt", pg_catalog.clock_timestamp() + c."delayMs"::double precision * interval '1 millisecond')
  from pg_catalog.jsonb_to_record($1::jsonb)
    as c (id uuid, action smallint, token text, "deliverAt" timestamptz, "delayMs" bigint)`);

/**
 * Limits how long the open transaction may stand idle, or wait for a lock. Tells role and search path as they are.
 */
export const limitIdleTime = statement<[milliseconds: string], { role: string; path: string }>('limit-idle-time', `select pg_catalog.current_setting('role') as role, pg_catalog.current_setting('search_path') as path,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $1::text, true),
       pg_catalog.set_config('lock_timeout', $1::text, true)`);

/**
 * Makes publishers of one key take turns, for order 'strict': each key stands for one of 1,024 locks, ascending.
 * Locks: advisory, until the caller's transaction ends
 */
export const lockKeys = statement<[keys: string], { locks: number }>('lock-keys', `select pg_catalog.count(pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext(':schema.key'), k.bucket))::integer as locks
  from (select distinct pg_catalog.abs(pg_catalog.hashtext(e.value) % 1024) as bucket
          from pg_catalog.jsonb_array_elements_text($1::jsonb) as e (value)
         order by 1) k`);

/**
 * How many committed messages wait for the relay (counted up to 100,000), and the age of the oldest of them.
 * Index: outbox_xid
 */
export const outboxBacklog = statement<[], { waiting: number; oldestAgeMs: number | null }>('outbox-backlog', `select pg_catalog.count(*)::integer as waiting,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(w.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.created_at
          from (select c.base, c.target, c.window_id from :schema.relay_cursor c order by c.seq desc limit 1) c
          cross join lateral (
            select o.created_at, o.xid, o.id from :schema.outbox o
             where o.xid >= pg_catalog.pg_snapshot_xmax(c.base) or o.xid = any (array(select pg_catalog.pg_snapshot_xip(c.base)))
          ) o
         where c.target is null or o.id > c.window_id or not pg_catalog.pg_visible_in_snapshot(o.xid, c.target)
         limit 100000) w`);

/**
 * Empties the slot of the cursor's ring that comes next.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const recycleCursor = statement<[], { emptied: boolean }>('recycle-cursor', `select :schema.relay_cursor_recycle() as emptied`);

/**
 * Lets the relay begin anew on another cluster, keeping what had not been moved. For an operator.
 * Locks: the relay's, and the outbox exclusively
 */
export const relayAdopt = statement<[], { kept: number }>('relay-adopt', `select :schema.relay_adopt() as kept`);

/**
 * Stores the cursor behind a pass.
 */
export const relayAdvance = statement<[afterSeq: number, base: string, target: string | null, windowId: number | null, windowEnd: number | null], Record<never, never>>('relay-advance', `select :schema.relay_advance($1, $2::pg_snapshot, $3::pg_snapshot, $4, $5)`);

/**
 * Begins a pass: the relay's lock, the cursor, a new snapshot, and how much lies between.
 * Locks: the relay's advisory lock (tried, not waited for), until the transaction ends
 */
export const relayBegin = statement<[measureLimit: number, leaseMs: number], { state: string; seq: number; base: string; target: string; windowId: number | null; windowEnd: number | null; inWindows: boolean }>('relay-begin', `select b.state, b.seq, b.base, b.target, b.window_id as "windowId", b.window_end as "windowEnd",
       b.in_windows as "inWindows"
  from :schema.relay_begin($1, $2) b`);

/**
 * Whether anything waits behind the cursor.
 * Index: outbox_xid
 */
export const relayProbe = statement<[base: string], { waiting: boolean }>('relay-probe', `select :schema.relay_probe($1::pg_snapshot) as waiting`);

/**
 * Sets role and search path back to what they were, in case that a handler has changed them: what follows is Waybill's own.
 */
export const restoreSession = statement<[role: string, path: string], Record<never, never>>('restore-session', `select pg_catalog.set_config('role', $1::text, false), pg_catalog.set_config('search_path', $2::text, false)`);
