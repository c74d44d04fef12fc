// Made by scripts/build-sql.mjs from ../sql/relay; do not edit.
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
 * Empties one slot of the outbox's ring, if all its messages have been moved and are past retention.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptySlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-slot', `select :schema.outbox_empty_slot($1, $2) as emptied`);

/**
 * The slots of the outbox whose files are not empty. Asked after a pass has its snapshot: a row that is visible in that has
 * extended its slot's file before.
 * Locks: each slot, shared, for a moment
 */
export const filledSlots = statement<[], { slots: readonly number[] }>('filled-slots', `select array(select s.slot from pg_catalog.generate_series(0, 7) as s (slot)
              where pg_catalog.pg_relation_size(pg_catalog.format('%s%s', ':schema.outbox_s', s.slot)::regclass) > 0
              order by s.slot) as slots`);

/**
 * Removes what is scheduled or prepared and was published in the time that was lost; after relay-reconcile.
 * Locks: the rows of timers and half messages
 */
export const forgetPublished = statement<[inLog: readonly (string | null)[]], { forgotten: number }>('forget-published', `select :schema.forget_published($1::uuid[]) as forgotten`);

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
 * Quarantines rows of the difference between two snapshots that a pass leaves out.
 * Locks: none but the new rows
 * Index: outbox_order
 */
export const setAsideRows = statement<[rowIds: readonly (number | null)[], codes: readonly (string | null)[], reasons: readonly (string | null)[], base: string, target: string], Record<never, never>>('set-aside-rows', `select :schema.outbox_set_aside($1, $2, $3, $4::pg_snapshot, $5::pg_snapshot)`);
