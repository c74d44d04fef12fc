// Made by scripts/build-sql.mjs from ../sql/loop; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Moves ended children whose parent has ended before them to the ended sagas.
 * Locks: those children
 * Index: saga_orphan
 */
export const archiveOrphans = statement<[], Record<never, never>>('archive-orphans', `with gone as (
  delete from :schema.saga s
   where s.parent_id is not null and s.state >= 4
     and not exists (select from :schema.saga p where p.id = s.parent_id)
  returning s.*
)
insert into :schema.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision, started_at,
                                ended_at, parent_id, parent_step, reason, content)
select :schema.saga_slot(g.id), g.id, g.saga_type, g.definition_version, g.saga_key, g.reply_topic, g.state, g.revision,
       g.started_at, g.changed_at, g.parent_id, g.parent_step, g.reason, g.content
  from gone g`);

/**
 * The oldest open order to a service's sagas after an id; an order that another process works on is skipped.
 * Locks: the order, until the transaction ends
 * Index: saga_order_open
 */
export const claimSagaOrder = statement<[replyTopic: string, afterId: number], { id: number; sagaId: string; order: string; revision: number; actor: string; statedBy: string; reason: string | null }>('claim-saga-order', `select o.id, o.saga_id as "sagaId", o.event::text as "order", o.revision, o.actor, o.stated_by as "statedBy", o.reason
  from :schema.saga_order o
 where o.reply_topic = $1::text and o.outcome is null and o.id > $2::bigint
 order by o.id
 limit 1
   for update skip locked`);

/**
 * Empties a slot of ended sagas if all of it is older than a number of milliseconds.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptySagaSlot = statement<[slot: number, keepMs: number], { emptied: boolean }>('empty-saga-slot', `select :schema.saga_empty_slot($1, $2) as emptied`);

/**
 * Stores the outcome of an order.
 * Index: saga_order_pkey
 */
export const endSagaOrder = statement<[id: number, outcome: string, why: string | null], Record<never, never>>('end-saga-order', `update :schema.saga_order o set outcome = $2::text, why = $3::text, settled_at = pg_catalog.clock_timestamp()
 where o.id = $1::bigint and o.outcome is null`);

/**
 * Removes ended sagas from a slot that cannot be emptied as a whole, up to a limit, and returns their number.
 * Locks: their rows
 * Index: saga_ended_pkey, saga_transition_pkey
 */
export const forgetEndedSagas = statement<[slot: number, keepMs: number, most: number], { removed: number }>('forget-ended-sagas', `select :schema.saga_forget_ended($1, $2, $3) as removed`);

/**
 * In how many milliseconds the next saga is due; no row if none waits.
 * Index: saga_wake
 */
export const nextSagaWake = statement<[replyTopic: string], { inMs: number }>('next-saga-wake', `select pg_catalog.ceil(extract(epoch from pg_catalog.min(s.wake_at) - pg_catalog.clock_timestamp()) * 1000.0)::bigint as "inMs"
  from :schema.saga s
 where s.reply_topic = $1::text and s.wake_at is not null
having pg_catalog.min(s.wake_at) is not null`);

/**
 * An unclaimed event could not be passed to its handler: it is retried after a number of milliseconds.
 * Index: saga_event_pkey
 */
export const postponeEvent = statement<[id: number, delayMs: number], Record<never, never>>('postpone-event', `update :schema.saga_event e
   set failures = e.failures + 1,
       expires_at = pg_catalog.clock_timestamp() + $2::bigint::double precision * interval '1 millisecond'
 where e.id = $1::bigint`);

/**
 * Delays a saga whose transition has failed, by milliseconds from now.
 * Locks: the saga
 * Index: saga_pkey
 */
export const postponeSaga = statement<[id: string, delayMs: number], Record<never, never>>('postpone-saga', `update :schema.saga s
   set wake_at = greatest(s.wake_at, pg_catalog.clock_timestamp() + $2::bigint::double precision * interval '1 millisecond')
 where s.id = $1::uuid`);

/**
 * Records that a message to a service's sagas was refused, unless a thousand such records exist: a sender that floods
 * the topic must not fill the database.
 */
export const refuseSagaMessage = statement<[replyTopic: string, sagaId: string | null, step: string | null, why: string, messageId: string | null, partition: number, offset: number], Record<never, never>>('refuse-saga-message', `insert into :schema.saga_refusal (reply_topic, saga_id, step, why, message_id, partition_number, log_offset)
select $1::text, $2::text, $3::text, $4::text, $5::text, $6::integer, $7::bigint
 where (select pg_catalog.count(*) from (select from :schema.saga_refusal r where r.reply_topic = $1::text limit 1000) r) < 1000`);

/**
 * Removes definitions that no process has had for a given time, and that no saga uses.
 */
export const removeDefinitions = statement<[olderThanMs: number], Record<never, never>>('remove-definitions', `delete from :schema.saga_definition d
 where d.seen_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
   and not exists (select from :schema.saga s
                    where s.reply_topic = d.reply_topic and s.saga_type = d.saga_type
                      and s.definition_version = d.definition_version)`);

/**
 * Removes old events that arrived for sagas without an effect.
 * Index: saga_ignored_at
 */
export const removeIgnoredEvents = statement<[olderThanMs: number], Record<never, never>>('remove-ignored-events', `delete from :schema.saga_ignored i
 where i.ignored_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'`);

/**
 * Removes bulk orders that have made no progress for a number of milliseconds.
 * Index: saga_bulk_moved
 */
export const removeSagaBulks = statement<[olderThanMs: number], Record<never, never>>('remove-saga-bulks', `delete from :schema.saga_bulk b
 where b.moved_at < (select pg_catalog.clock_timestamp()) - $1::bigint::double precision * interval '1 millisecond'`);

/**
 * Removes keys that were replaced longer than maxAgeMs ago, and before any running saga of their service started: no
 * message in flight is signed with them.
 * Index: saga_mac_key_topic
 */
export const removeSagaKeys = statement<[maxAgeMs: number], Record<never, never>>('remove-saga-keys', `delete from :schema.saga_mac_key k
 where exists (select from :schema.saga_mac_key n
                where n.reply_topic = k.reply_topic and n.id > k.id
                  and n.created_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
                  and not exists (select from :schema.saga s
                                   where s.reply_topic = k.reply_topic and s.changed_at < n.created_at))`);

/**
 * Removes orders that were settled long ago.
 */
export const removeSagaOrders = statement<[olderThanMs: number], Record<never, never>>('remove-saga-orders', `delete from :schema.saga_order o
 where o.settled_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'`);

/**
 * Removes records of refusals that are past their retention.
 */
export const removeSagaRefusals = statement<[olderThanMs: number], Record<never, never>>('remove-saga-refusals', `delete from :schema.saga_refusal r
 where r.refused_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'`);

/**
 * Sets when a saga is due again, without a transition.
 * Locks: the saga
 * Index: saga_pkey
 */
export const wakeSaga = statement<[id: string, wakeMs: number | null], Record<never, never>>('wake-saga', `update :schema.saga s set wake_at = s.started_at + $2::bigint::double precision * interval '1 millisecond' where s.id = $1::uuid`);
