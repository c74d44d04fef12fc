// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-clock.generated.js';
export * from './statements-recurring.generated.js';

/**
 * Cancels scheduled messages by ids and tokens, if a login (null: the session's) may publish them.
 * Locks: their rows; 40001 if one is being moved between slots
 * Index: timer_message, timer_token
 */
export const cancelTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], asker: string | null], { cancelled: number }>('cancel-timers', `select :schema.timer_cancel($1, $2, $3) as cancelled`);

/**
 * Claims due timers, in no particular order: deletes and returns them.
 * Locks: the drainer's advisory lock (waited for at most 50 ms, 55P03), and the rows
 * Index: timer_due
 */
export const claimTimers = statement<[lowMs: number, kinds: readonly (number | null)[], limit: number, leaseMs: number], { nowMs: number; dueMs: number; id: number; kind: number; messageId: string | null; token: string | null; topic: string | null; partition: number | null; key: string | null; headers: string | null; payload: Buffer | null }>('claim-timers', `select c.now_ms as "nowMs", c.due_ms as "dueMs", c.id, c.kind, c.message_id::text as "messageId", c.token, c.topic,
       c.partition_number as partition, c.key, c.headers, c.payload
  from :schema.timer_claim(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2, $3, $4) c`);

/**
 * The database's clock, in milliseconds since the epoch.
 */
export const databaseTime = statement<[], { nowMs: number }>('database-time', `select :schema.timer_ms(pg_catalog.clock_timestamp()) as "nowMs"`);

/**
 * Empties the near slot whose hour has passed, if it has no timers.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyTimerSlot = statement<[], { emptied: boolean }>('empty-timer-slot', `select :schema.timer_empty_slot() as emptied`);

/**
 * A scheduled message by its id.
 * Index: timer_message
 */
export const findTimer = statement<[messageId: string], { id: string; topic: string; partition: number | null; key: string | null; token: string | null; dueAt: Date; createdAt: Date }>('find-timer', `select t.message_id::text as id, t.topic, t.partition_number as partition, t.key, t.token, t.due_at as "dueAt",
       t.created_at as "createdAt"
  from :schema.timer t
 where t.message_id = $1::uuid and t.kind = 1
 order by t.due_at
 limit 1`);

/**
 * The current time, and the due time of the next timer that is not due before low.
 * Index: timer_due
 */
export const probeTimers = statement<[lowMs: number, kinds: readonly (number | null)[]], { nowMs: number; nextMs: number | null }>('probe-timers', `select p.now_ms as "nowMs", p.next_ms as "nextMs"
  from :schema.timer_probe(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2) p`);

/**
 * Moves far timers that have become near into their near slots.
 * Index: timer_due
 */
export const promoteTimers = statement<[limit: number], { moved: number }>('promote-timers', `select :schema.timer_promote($1) as moved`);

/**
 * Moves scheduled messages, by ids and tokens, to another time: a time, or a delay from now;
 * if a login (null: the session's) may publish them.
 * Locks: their rows; 40001 if one is being moved between slots
 * Index: timer_message, timer_token
 */
export const rescheduleTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], dueMs: number | null, delayMs: number | null, asker: string | null], { moved: number; dueMs: number }>('reschedule-timers', `select r.moved, r.due_ms as "dueMs"
  from :schema.timer_reschedule(
         $1, $2, coalesce(timestamptz 'epoch' + $3::bigint::double precision * interval '1 millisecond',
                          pg_catalog.clock_timestamp() + $4::bigint::double precision * interval '1 millisecond'), $5) r`);

/**
 * Schedules one message, after a delay by the database's clock or at a time; one of them is given. The topic is looked
 * up.
 * Locks: none but the new row
 */
export const scheduleMessage = statement<[messageId: string, token: string | null, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, dueMs: number | null, delayMs: number | null], { dueMs: number }>('schedule-message', `select s.due_ms as "dueMs"
  from :schema.timer_schedule(
         array[$1::uuid], array[$2::text], array[:schema.known_topic($3::text, $4::integer)], array[$4::integer],
         array[$5::text], array[$6::text], array[$7::bytea],
         array[coalesce($8::bigint, :schema.timer_ms(pg_catalog.clock_timestamp()) + 1 + $9::bigint)]) s`);

/**
 * Schedules messages for later, in the order of the arrays; times in milliseconds since the epoch. A time in the past
 * means now. Topics are those of the log, and are not looked up.
 * Locks: none but the new rows
 */
export const scheduleTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], payloads: readonly (Buffer | null)[], dueMs: readonly (number | null)[]], { dueMs: number }>('schedule-timers', `select s.due_ms as "dueMs" from :schema.timer_schedule($1, $2, $3, $4, $5, $6, $7, $8) s`);

/**
 * Sets messages aside whose timers cannot be fired.
 * Locks: none but the new rows
 */
export const setAsideTimers = statement<[timerIds: readonly (number | null)[], messageIds: readonly (string | null)[], tokens: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], payloads: readonly (Buffer | null)[], dueMs: readonly (number | null)[], codes: readonly (string | null)[], reasons: readonly (string | null)[]], Record<never, never>>('set-aside-timers', `select :schema.timer_set_aside($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`);

/**
 * Counts of pending timers, each up to 100,000.
 * Index: timer_due
 */
export const timerStats = statement<[overdueMs: number], { pending: number; due: number; overdue: number; oldestOverdueMs: number; far: number; recurring: number }>('timer-stats', `select (select pg_catalog.count(*) from (select from :schema.timer limit 100000) p)::integer as pending,
       (select pg_catalog.count(*) from (select from :schema.timer t where t.due_at <= n.now_at limit 100000) d)::integer as due,
       (select pg_catalog.count(*) from (select from :schema.timer t
                               where t.due_at < n.now_at - $1::bigint::double precision * interval '1 millisecond'
                               limit 100000) o)::integer as overdue,
       coalesce((select greatest(0, :schema.timer_ms(n.now_at) - :schema.timer_ms(pg_catalog.min(t.due_at)))
                   from :schema.timer t), 0)::bigint as "oldestOverdueMs",
       (select pg_catalog.count(*) from (select from :schema.timer t where t.slot = 8 limit 100000) f)::integer as far,
       (select pg_catalog.count(*) from :schema.recurring_message)::integer as recurring
  from (select pg_catalog.clock_timestamp() as now_at offset 0) n`);
