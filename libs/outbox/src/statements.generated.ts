// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Passes after a number, and how many of their rows the outbox still has. Rows of timers are among them.
 * Index: relay_intent_n, then outbox_order for each pass
 */
export const countKept = statement<[afterN: number], { n: number; rowCount: number; kept: number; madeAt: Date }>('count-kept', `select i.n, i.row_count as "rowCount", i.made_at as "madeAt",
       (select pg_catalog.count(*)::integer from :schema.outbox o
         where o.id > i.after_id and o.id <= i.upto_id and pg_catalog.pg_visible_in_snapshot(o.xid, i.target)
           and not pg_catalog.pg_visible_in_snapshot(o.xid, i.base)) as kept
  from (select distinct on (x.n) x.* from :schema.relay_intent x where x.n > $1 order by x.n, x.version desc) i
 order by i.n`);

/**
 * Counts the quarantined messages that match. A null matches everything.
 */
export const countQuarantined = statement<[ids: readonly (number | null)[] | null, topic: string | null, code: string | null, role: string | null], { count: number }>('count-quarantined', `select pg_catalog.count(*)::integer as count
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text)`);

/**
 * Removes quarantined messages.
 * Locks: the rows
 */
export const discardQuarantined = statement<[ids: readonly (number | null)[]], { id: number }>('discard-quarantined', `delete from :schema.outbox_quarantine q where q.quarantine_id = any ($1) returning q.quarantine_id as id`);

/**
 * Empties one slot of the outbox's ring, if all its messages have been moved and are past retention.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptySlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-slot', `select :schema.outbox_empty_slot($1, $2) as emptied`);

/**
 * Removes what is scheduled or prepared and was published in the time that was lost; after relay-reconcile.
 * Locks: the rows of timers and half messages
 */
export const forgetPublished = statement<[inLog: readonly (string | null)[]], { forgotten: number }>('forget-published', `select :schema.forget_published($1::uuid[]) as forgotten`);

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
 * Limits how long the open transaction may be idle, or wait for a lock. Returns the current role and search path.
 */
export const limitIdleTime = statement<[milliseconds: string], { role: string; path: string }>('limit-idle-time', `select pg_catalog.current_setting('role') as role, pg_catalog.current_setting('search_path') as path,
       pg_catalog.set_config('idle_in_transaction_session_timeout', $1::text, true),
       pg_catalog.set_config('lock_timeout', $1::text, true)`);

/**
 * Lists the quarantined messages that match, by id, without payloads. A null matches everything.
 * Index: outbox_quarantine_pkey
 */
export const listQuarantined = statement<[ids: readonly (number | null)[] | null, topic: string | null, code: string | null, role: string | null, after: number, limit: number], { id: number; quarantinedAt: Date; origin: string; code: string; reason: string; role: string; messageId: string; topic: string; partition: number | null; key: string | null; bytes: number; timerAction: number | null; deliverAt: Date | null; timerToken: string | null; publishedAt: Date }>('list-quarantined', `select q.quarantine_id as id, q.quarantined_at as "quarantinedAt", q.origin, q.reason_code as code, q.reason,
       q.published_by as role, q.message_id::text as "messageId", q.topic, q.partition_number as partition, q.key,
       coalesce(pg_catalog.octet_length(q.payload), 0) as bytes, q.timer_action as "timerAction", q.deliver_at as "deliverAt",
       q.timer_token as "timerToken", q.created_at as "publishedAt"
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text)
   and q.quarantine_id > $5
 order by q.quarantine_id
 limit $6`);

/**
 * Makes publishers of one key take turns, for order 'strict': each key maps to one of 1,024 locks, taken in ascending
 * order.
 * Locks: advisory, until the caller's transaction ends
 */
export const lockKeys = statement<[keys: string], { locks: number }>('lock-keys', `select pg_catalog.count(pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext(':schema.key'), k.bucket))::integer as locks
  from (select distinct pg_catalog.abs(pg_catalog.hashtext(e.value) % 1024) as bucket
          from pg_catalog.jsonb_array_elements_text($1::jsonb) as e (value)
         order by 1) k`);

/**
 * Compares the messages waiting in the outbox with the topics' limits. Returns the topics that have begun or stopped
 * refusing messages.
 * Locks: advisory (tried, not waited for), and the rows of topics that change
 */
export const measureOutbox = statement<[intervalMs: number], { topic: string; full: string | null }>('measure-outbox', `select m.of_topic as topic, m.full_text as "full" from :schema.outbox_measure($1) m`);

/**
 * Notes that all that the service has handed over is in this epoch of the log.
 * Locks: the service's row
 */
export const noteHealed = statement<[logEpoch: number], Record<never, never>>('note-healed', `select :schema.service_healed($1)::text`);

/**
 * How long ago the oldest message that the outbox still holds was published, moved or not; no row if it is empty.
 * Index: outbox_order
 */
export const oldestOutboxRow = statement<[], { ageMs: number }>('oldest-outbox-row', `select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - o.created_at) * 1000.0)::bigint as "ageMs"
  from :schema.outbox o
 order by o.id
 limit 1`);

/**
 * How many committed messages wait for the relay (counted up to 100,000), and the age of the oldest of them.
 * Index: outbox_xid
 */
export const outboxBacklog = statement<[], { waiting: number; oldestAgeMs: number | null }>('outbox-backlog', `select pg_catalog.count(*)::integer as waiting,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(w.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.created_at
          from :schema.relay_place() c
          cross join lateral (
            select o.created_at, o.xid, o.id from :schema.outbox o
             where o.xid >= pg_catalog.pg_snapshot_xmax(c.base) or o.xid = any (array(select pg_catalog.pg_snapshot_xip(c.base)))
          ) o
         where c.target is null or o.id > c.window_id or not pg_catalog.pg_visible_in_snapshot(o.xid, c.target)
         limit 100000) w`);

/**
 * The messages that wait for the relay, by topic and publishing login, largest first (counted up to 100,000 in all),
 * and whether further messages of the topic are refused.
 * Index: outbox_xid
 */
export const outboxBacklogs = statement<[most: number], { topic: string; role: string; waiting: number; bytes: number; oldestAgeMs: number; full: string | null }>('outbox-backlogs', `select b.topic, b.published_by as role, b.waiting, b.bytes,
       (extract(epoch from pg_catalog.clock_timestamp() - b.oldest_at) * 1000.0)::bigint as "oldestAgeMs", t.outbox_full as "full"
  from :schema.outbox_backlogs(100000) b
  left join :schema.topic t on t.name = b.topic
 limit $1`);

/**
 * The outbox's size on disk, including messages that have been moved.
 */
export const outboxSize = statement<[], { bytes: number }>('outbox-size', `select pg_catalog.sum(pg_catalog.pg_total_relation_size(i.inhrelid::regclass))::bigint as bytes
  from pg_catalog.pg_inherits i where i.inhparent = ':schema.outbox'::regclass::oid`);

/**
 * Counts the quarantined messages by topic and reason, largest first (up to 100,000 in all), and since when.
 */
export const quarantineBacklogs = statement<[most: number], { topic: string; code: string; messages: number; oldestAgeMs: number }>('quarantine-backlogs', `select q.topic, q.reason_code as code, pg_catalog.count(*)::integer as messages,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(q.quarantined_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.topic, o.reason_code, o.quarantined_at from :schema.outbox_quarantine o limit 100000) q
 group by q.topic, q.reason_code
 order by pg_catalog.count(*) desc, q.topic, q.reason_code
 limit $1`);

/**
 * Headers and payload of one quarantined message.
 * Index: outbox_quarantine_pkey
 */
export const quarantinedContent = statement<[id: number], { headers: string | null; payload: Buffer | null }>('quarantined-content', `select q.headers::text as headers, q.payload from :schema.outbox_quarantine q where q.quarantine_id = $1`);

/**
 * Empties the next slot of the ring of passes.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const recycleIntents = statement<[], { emptied: boolean }>('recycle-intents', `select :schema.relay_intent_recycle() as emptied`);

/**
 * Makes passes again, the first of them without the rows that the log refuses, in the transaction that has begun a pass.
 */
export const relayAmend = statement<[firstN: number, newestN: number, newestToken: string, refused: readonly (number | null)[]], Record<never, never>>('relay-amend', `select :schema.relay_amend($1, $2, $3::uuid, $4)::text`);

/**
 * Begins a pass: takes the relay's lock, and returns the newest pass, a new snapshot and the size of the difference.
 * Locks: the relay's advisory lock (tried, not waited for), until the transaction ends
 */
export const relayBegin = statement<[measureLimit: number, leaseMs: number], { state: string; n: number; token: string; confirmedN: number; base: string; target: string; windowId: number | null; windowEnd: number | null; inWindows: boolean; incarnation: number }>('relay-begin', `select b.state, b.n, b.token::text as token, b.confirmed_n as "confirmedN", b.base, b.target, b.window_id as "windowId",
       b.window_end as "windowEnd", b.in_windows as "inWindows", b.incarnation
  from :schema.relay_begin($1, $2) b`);

/**
 * Stores a pass, in the transaction that has begun it.
 */
export const relayIntend = statement<[afterN: number, afterToken: string, token: string, base: string, target: string, afterId: number, uptoId: number, endId: number, rowCount: number, excluded: readonly (number | null)[], confirmedN: number], Record<never, never>>('relay-intend', `select :schema.relay_intend($1, $2::uuid, $3::uuid, $4::pg_snapshot, $5::pg_snapshot, $6, $7, $8, $9, $10, $11)::text`);

/**
 * Passes in a range, with all their versions.
 * Index: relay_intent_n
 */
export const relayIntents = statement<[fromN: number, toN: number], { n: number; version: number; token: string; tokenBefore: string | null; base: string; target: string; afterId: number; uptoId: number; rowCount: number; excluded: readonly number[] }>('relay-intents', `select i.n, i.version, i.token::text as token, i.token_before::text as "tokenBefore", i.base, i.target,
       i.after_id as "afterId", i.upto_id as "uptoId", i.row_count as "rowCount", i.excluded
  from :schema.relay_intents($1, $2) i`);

/**
 * The newest pass.
 * Index: relay_intent_n
 */
export const relayNewest = statement<[], { n: number; token: string; confirmedN: number; madeMsAgo: number }>('relay-newest', `select w.n, w.token::text as token, w.confirmed_n as "confirmedN", w.made_ms_ago as "madeMsAgo"
  from :schema.relay_newest() w`);

/**
 * Whether any message after the cursor is waiting, and when the server was started.
 * Index: outbox_xid
 */
export const relayProbe = statement<[base: string], { waiting: boolean; incarnation: number }>('relay-probe', `select :schema.relay_probe($1::pg_snapshot) as waiting, :schema.incarnation() as incarnation`);

/**
 * Starts the relay over from what service and log both know, keeping messages that are not in the log. For operators.
 * Locks: the relay's, and the outbox exclusively
 */
export const relayReconcile = statement<[commonN: number, busN: number, busToken: string, inLog: readonly (string | null)[]], { kept: number }>('relay-reconcile', `select :schema.relay_reconcile($1, $2, $3::uuid, $4::uuid[]) as kept`);

/**
 * Goes back to the version of a pass that the log holds, in the transaction that has begun a pass.
 */
export const relayRestoreVersion = statement<[n: number, token: string, newestN: number, newestToken: string], Record<never, never>>('relay-restore-version', `select :schema.relay_restore_version($1, $2::uuid, $3, $4::uuid)::text`);

/**
 * The newest pass, whether it was made in this cluster, and the tokens that a pass of this number has had; none if its row
 * has left the ring.
 * Index: relay_intent_n
 */
export const relayState = statement<[ofN: number], { n: number; confirmedN: number; madeAgeMs: number; rowCount: number; inWindows: boolean; isOfThisCluster: boolean; tokensOfN: readonly string[] }>('relay-state', `select i.n, i.confirmed_n as "confirmedN", pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - i.made_at) * 1000.0)::bigint as "madeAgeMs",
       i.row_count as "rowCount", i.upto_id < i.end_id as "inWindows",
       i.system_identifier = (select c.system_identifier from pg_catalog.pg_control_system() c) as "isOfThisCluster",
       array(select v.token::text from :schema.relay_intent v where v.n = $1) as "tokensOfN"
  from :schema.relay_intent i
 order by i.n desc, i.version desc
 limit 1`);

/**
 * Publishes quarantined messages again.
 * Locks: the rows
 */
export const requeueQuarantined = statement<[ids: readonly (number | null)[]], { id: number }>('requeue-quarantined', `select r.id from :schema.outbox_requeue($1) as r (id)`);

/**
 * Restores role and search path in case a handler has changed them: Waybill's own statements follow.
 */
export const restoreSession = statement<[role: string, path: string], Record<never, never>>('restore-session', `select pg_catalog.set_config('role', $1::text, false), pg_catalog.set_config('search_path', $2::text, false)`);

/**
 * Quarantines rows of the difference between two snapshots that a pass leaves out.
 * Locks: none but the new rows
 * Index: outbox_order
 */
export const setAsideRows = statement<[rowIds: readonly (number | null)[], codes: readonly (string | null)[], reasons: readonly (string | null)[], base: string, target: string], Record<never, never>>('set-aside-rows', `select :schema.outbox_set_aside($1, $2, $3, $4::pg_snapshot, $5::pg_snapshot)`);
