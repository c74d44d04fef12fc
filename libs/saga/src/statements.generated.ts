// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores a new key of a service's sagas.
 * Locks: none but the new row
 */
export const addSagaKey = statement<[replyTopic: string, secret: Buffer], { id: number }>('add-saga-key', `insert into :schema.saga_mac_key (reply_topic, secret) values ($1::text, $2::bytea) returning id`);

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
 * Lets a step wait for an event; if the event has already arrived, returns its content instead.
 * Locks: the waiter and the matching event
 * Index: saga_event_match, saga_event_wait_pkey
 */
export const awaitEvent = statement<[sagaId: string, step: string, replyTopic: string, waiter: string, match: string], { content: string | null }>('await-event', `select :schema.saga_await_event($1, $2, $3, $4, $5) as content`);

/**
 * Starts a bulk order; see the function.
 */
export const beginSagaBulk = statement<[event: string, filter: string, statedBy: string, reason: string | null, perSecond: number, upTo: string, total: number], { id: number }>('begin-saga-bulk', `select :schema.saga_bulk_begin($1::jsonb, $2::jsonb, $3::text, $4::text, $5::integer, $6::uuid, $7::bigint) as id`);

/**
 * Cancels a running bulk order; false if there is none.
 * Index: saga_bulk_pkey
 */
export const cancelSagaBulk = statement<[id: number, statedBy: string, reason: string | null], { cancelled: boolean }>('cancel-saga-bulk', `select :schema.saga_bulk_cancel($1::bigint, $2::text, $3::text) as cancelled`);

/**
 * Reads a due saga for a transition; a saga that another process works on is skipped.
 * Locks: the saga, until the transaction ends
 * Index: saga_wake
 */
export const claimDueSaga = statement<[replyTopic: string], { id: string; type: string; version: number; key: string; state: number; revision: number; parentId: string | null; parentStep: string | null; reason: string | null; content: string; nowMs: number; startedAtMs: number; fingerprint: string | null }>('claim-due-saga', `select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key, s.state::integer as state,
       s.revision, s.parent_id as "parentId", s.parent_step as "parentStep", s.reason, s.content::text as content,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - s.started_at) * 1000.0)::bigint as "nowMs",
       (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs", s.fingerprint
  from :schema.saga s
 where s.reply_topic = $1::text and s.wake_at <= (select pg_catalog.clock_timestamp())
 order by s.wake_at
 limit 1
   for update skip locked`);

/**
 * Claims due HTTP calls, up to a limit per host; see the function. The commit is flushed to disk.
 * Locks: the calls
 * Index: saga_call_due
 */
export const claimSagaCalls = statement<[replyTopic: string, definitions: readonly (string | null)[], hosts: readonly (string | null)[], places: readonly (number | null)[], most: number, timeoutMs: number, marginMs: number], { sagaId: string; branch: string; op: string; step: string; attempt: number; round: number; definition: string; payload: string; tries: number; begun: boolean; isEmpty: boolean; token: string; leaseMs: number }>('claim-saga-calls', `select c.saga_id as "sagaId", c.branch, c.op, c.step, c.attempt, c.round, c.definition, c.payload, c.tries, c.begun,
       c.is_empty as "isEmpty", c.token, c.lease_ms as "leaseMs"
  from :schema.saga_calls_claim($1::text, $2::text[], $3::text[], $4::integer[], $5::integer, $6::integer,
                                $7::integer) c`);

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
 * The newest key of a service's sagas that is not older than maxAgeMs.
 * isCommitted: it was not created by this transaction, as far as its time shows.
 * Index: saga_mac_key_topic
 */
export const currentSagaKey = statement<[replyTopic: string, maxAgeMs: number], { id: number; secret: Buffer; isCommitted: boolean }>('current-saga-key', `select k.id, k.secret, k.created_at < pg_catalog.transaction_timestamp() as "isCommitted"
  from :schema.saga_mac_key k
 where k.reply_topic = $1::text
   and k.created_at > pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1`);

/**
 * Empties a slot of ended sagas if all of it is older than a number of milliseconds.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptySagaSlot = statement<[slot: number, keepMs: number], { emptied: boolean }>('empty-saga-slot', `select :schema.saga_empty_slot($1, $2) as emptied`);

/**
 * Ends a try of an HTTP call; see the function. No row if it is no longer the newest try.
 * Locks: the call
 * Index: saga_call_pkey
 */
export const endSagaCallTry = statement<[sagaId: string, branch: string, op: string, token: string, attempt: number, outcome: string, retryMs: number, begun: boolean, rejected: boolean, tries: number, why: string | null], { attempt: number }>('end-saga-call-try', `select e.attempt
  from :schema.saga_call_end_try($1::uuid, $2::text, $3::text, $4::uuid, $5::integer, $6::text, $7::bigint, $8::boolean,
                                 $9::boolean, $10::integer, $11::text) e (attempt)`);

/**
 * Stores the outcome of an order.
 * Index: saga_order_pkey
 */
export const endSagaOrder = statement<[id: number, outcome: string, why: string | null], Record<never, never>>('end-saga-order', `update :schema.saga_order o set outcome = $2::text, why = $3::text, settled_at = pg_catalog.clock_timestamp()
 where o.id = $1::bigint and o.outcome is null`);

/**
 * Writes the last transition of a saga and moves it to the ended ones; fails if another transition came first, which
 * its lock prevents.
 * Locks: the saga and its children
 * Index: saga_pkey, saga_child
 */
export const endSaga = statement<[id: string, fromRevision: number, state: number, reason: string | null, content: string, transition: string], Record<never, never>>('end-saga', `select from :schema.saga_end($1, $2, $3::smallint, $4, $5::json, $6::json)`);

/**
 * Removes an event that no saga has claimed in time; no row if there is none, or another process has it.
 * Locks: the waiter and the matching event
 * Index: saga_event_expires
 */
export const expireEvent = statement<[replyTopic: string], { id: number; topic: string; waiter: string; match: string; arrivedAt: Date; failures: number; content: string }>('expire-event', `select e.id, e.topic, e.waiter, e.match, e.arrived_at as "arrivedAt", e.failures, e.content
  from :schema.saga_expire_event($1) e`);

/**
 * The child of a step.
 * Index: saga_child
 */
export const findChild = statement<[parentId: string, step: string], { id: string }>('find-child', `select s.id from :schema.saga s where s.parent_id = $1::uuid and s.parent_step = $2::text`);

/**
 * Definitions of a type and version in processes of a service, the newest first.
 * Index: saga_definition_pkey
 */
export const findDefinition = statement<[replyTopic: string, type: string, version: number], { fingerprint: string; shape: string; signals: readonly string[] }>('find-definition', `select d.fingerprint, d.shape::text as shape, d.signals
  from :schema.saga_definition d
 where d.reply_topic = $1::text and d.saga_type = $2::text and d.definition_version = $3::integer
 order by d.seen_at desc`);

/**
 * The saga of a type and key, running or ended.
 * Index: saga_key, saga_ended_key
 */
export const findSaga = statement<[type: string, key: string], { id: string }>('find-saga', `select s.id from :schema.saga s where s.saga_type = $1::text and s.saga_key = $2::text
union all
select e.id from :schema.saga_ended e where e.saga_type = $1::text and e.saga_key = $2::text
limit 1`);

/**
 * Sagas by their attributes, in the order of their start: those with one attribute, by which they are looked up, and
 * with all of the others. The rest as in list-sagas.
 * Index: saga_attribute_value, saga_pkey, saga_ended_pkey
 */
export const findSagas = statement<[states: readonly (number | null)[], type: string | null, keyPrefix: string | null, olderThanMs: number | null, after: string | null, most: number, name: string, value: string, names: readonly (string | null)[], values: readonly (string | null)[]], { id: string; type: string; version: number; key: string; replyTopic: string; state: number; revision: number; startedAt: Date; changedAt: Date; reason: string | null; parentId: string | null }>('find-sagas', `(select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key,
        s.reply_topic as "replyTopic", s.state::integer as state,
        s.revision, s.started_at as "startedAt", s.changed_at as "changedAt", s.reason, s.parent_id as "parentId"
   from :schema.saga_attribute a
   join :schema.saga s on s.id = a.saga_id
  where a.name = $7::text and a.value = $8::text
    and not exists (
      select from unnest($9::text[], $10::text[]) as w (name, value)
       where not exists (select from :schema.saga_attribute o
                          where o.slot = a.slot and o.saga_id = a.saga_id and o.name = w.name and o.value = w.value))
    and s.state = any ($1::smallint[]) and ($2::text is null or s.saga_type = $2)
    and ($3::text is null or pg_catalog.starts_with(s.saga_key, $3))
    and ($4::bigint is null or s.started_at <= pg_catalog.clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and a.saga_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by a.saga_id limit $6)
union all
(select e.id, e.saga_type, e.definition_version, e.saga_key, e.reply_topic, e.state::integer, e.revision,
        e.started_at, e.ended_at, e.reason, e.parent_id
   from :schema.saga_attribute a
   join :schema.saga_ended e on e.slot = a.slot and e.id = a.saga_id
  where a.name = $7::text and a.value = $8::text
    and not exists (
      select from unnest($9::text[], $10::text[]) as w (name, value)
       where not exists (select from :schema.saga_attribute o
                          where o.slot = a.slot and o.saga_id = a.saga_id and o.name = w.name and o.value = w.value))
    and e.state = any ($1::smallint[]) and ($2::text is null or e.saga_type = $2)
    and ($3::text is null or pg_catalog.starts_with(e.saga_key, $3))
    and ($4::bigint is null or e.started_at <= pg_catalog.clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and a.saga_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by a.saga_id limit $6)
 order by id
 limit $6`);

/**
 * Removes ended sagas from a slot that cannot be emptied as a whole, up to a limit, and returns their number.
 * Locks: their rows
 * Index: saga_ended_pkey, saga_transition_pkey
 */
export const forgetEndedSagas = statement<[slot: number, keepMs: number, most: number], { removed: number }>('forget-ended-sagas', `select :schema.saga_forget_ended($1, $2, $3) as removed`);

/**
 * Ends a step's wait for its event.
 * Index: saga_event_wait_pkey
 */
export const forgetEvent = statement<[sagaId: string, step: string], Record<never, never>>('forget-event', `delete from :schema.saga_event_wait w where w.saga_id = $1::uuid and w.step = $2::text`);

/**
 * Locks an entity for a saga; false if another saga holds it.
 * Locks: the entity
 */
export const holdEntity = statement<[entity: string, sagaId: string, branch: string], { held: boolean }>('hold-entity', `select :schema.saga_hold($1, $2, $3) as held`);

/**
 * Stores an event that arrived for a saga without an effect.
 */
export const keepIgnoredEvent = statement<[replyTopic: string, sagaId: string | null, kind: string, name: string | null, why: string, content: string], Record<never, never>>('keep-ignored-event', `insert into :schema.saga_ignored (reply_topic, saga_id, kind, name, why, content)
values ($1::text, $2::uuid, $3::text, $4::text, $5::text, $6::json)`);

/**
 * Events that arrived for sagas without an effect, the newest first; of one saga if it is given.
 * Index: saga_ignored_saga, saga_ignored_pkey
 */
export const listIgnoredEvents = statement<[sagaId: string | null, limit: number], { ignoredAt: Date; replyTopic: string; sagaId: string | null; kind: string; name: string | null; why: string; content: string }>('list-ignored-events', `select i.ignored_at as "ignoredAt", i.reply_topic as "replyTopic", i.saga_id as "sagaId", i.kind, i.name, i.why,
       i.content::text as content
  from :schema.saga_ignored i
 where $1::uuid is null or i.saga_id = $1::uuid
 order by i.id desc
 limit $2::integer`);

/**
 * Locked entities, the oldest lock first, and the number of commands that wait for each.
 * Index: saga_lock_pkey, saga_stash_entity
 */
export const listLocks = statement<[entity: string | null, olderThanMs: number, most: number], { entity: string; sagaId: string; branch: string; lockedAt: Date; waiting: number }>('list-locks', `select l.entity, l.saga_id as "sagaId", l.branch, l.locked_at as "lockedAt",
       (select pg_catalog.count(*) from :schema.saga_stash s where s.entity = l.entity)::bigint as waiting
  from :schema.saga_lock l
 where ($1::text is null or l.entity = $1::text)
   and l.locked_at <= (select pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond')
 order by l.locked_at
 limit $3::integer`);

/**
 * The attributes of a saga.
 * Index: saga_attribute_pkey
 */
export const listSagaAttributes = statement<[sagaId: string], { name: string; kind: string; value: string }>('list-saga-attributes', `select a.name, a.kind, a.value
  from :schema.saga_attribute a
 where a.slot = :schema.saga_slot($1::uuid) and a.saga_id = $1::uuid
 order by a.name`);

/**
 * Bulk orders, the newest first, or one of them; waiting: orders that their services have not carried out.
 * Index: saga_bulk_pkey, saga_order_bulk
 */
export const listSagaBulks = statement<[id: number | null, most: number], { id: number; event: string; filter: string; actor: string; by: string; reason: string | null; perSecond: number; upTo: string; cursor: string; total: number; ordered: number; skipped: number; state: string; startedAt: Date; waiting: number; refused: number }>('list-saga-bulks', `select b.id, b.event::text as event, b.filter::text as filter, b.actor, b.stated_by as "by", b.reason,
       b.per_second as "perSecond", b.up_to_id as "upTo", b.cursor_id as cursor, b.total, b.ordered, b.skipped, b.state,
       b.started_at as "startedAt",
       (select pg_catalog.count(*) from :schema.saga_order o where o.bulk_id = b.id and o.outcome is null) as waiting,
       (select pg_catalog.count(*) from :schema.saga_order o where o.bulk_id = b.id and o.outcome = 'refused'::text) as refused
  from :schema.saga_bulk b
 where $1::bigint is null or b.id = $1::bigint
 order by b.id desc
 limit $2::integer`);

/**
 * The HTTP calls of a saga that are not void.
 * Index: saga_call_pkey
 */
export const listSagaCalls = statement<[sagaId: string], { step: string; op: string; attempt: number; round: number; host: string; state: string; tries: number; nextAt: Date | null; isCalling: boolean; lastError: string | null }>('list-saga-calls', `select c.step, c.op, c.attempt, c.round, c.host, c.state, c.tries, c.due_at as "nextAt",
       coalesce(c.lease_until > pg_catalog.clock_timestamp(), false) as "isCalling", c.last_error as "lastError"
  from :schema.saga_call c
 where c.saga_id = $1::uuid and c.state <> 'void'
 order by c.step, c.op`);

/**
 * Events that no saga waits for yet, and steps that wait for an event: the oldest first.
 */
export const listSagaEvents = statement<[replyTopic: string | null, limit: number], { kind: string; replyTopic: string; waiter: string; match: string; sagaId: string | null; since: Date; until: Date | null; failures: number }>('list-saga-events', `select w.kind, w.reply_topic as "replyTopic", w.waiter, w.match, w.saga_id as "sagaId", w.since, w.until, w.failures
  from ((select 'event'::text as kind, e.reply_topic, e.waiter, e.match, null::uuid as saga_id, e.arrived_at as since,
               e.expires_at as until, e.failures
          from :schema.saga_event e
         where $1::text is null or e.reply_topic = $1::text
         order by e.arrived_at limit $2::integer)
        union all
        (select 'step'::text, s.reply_topic, s.waiter, s.match, s.saga_id, s.since, null::timestamptz, 0
           from :schema.saga_event_wait s
          where $1::text is null or s.reply_topic = $1::text
          order by s.since limit $2::integer)) w
 order by w.since
 limit $2::integer`);

/**
 * The orders to a saga, the newest first.
 * Index: saga_order_saga
 */
export const listSagaOrders = statement<[sagaId: string], { id: number; orderedAt: Date; order: string; revision: number; actor: string; statedBy: string; reason: string | null; outcome: string | null; why: string | null }>('list-saga-orders', `select o.id, o.ordered_at as "orderedAt", o.event::text as "order", o.revision, o.actor, o.stated_by as "statedBy",
       o.reason, o.outcome, o.why
  from :schema.saga_order o
 where o.saga_id = $1::uuid
 order by o.id desc
 limit 100`);

/**
 * Refused messages to sagas, the newest first; of one service if its topic is given.
 */
export const listSagaRefusals = statement<[replyTopic: string | null, limit: number], { refusedAt: Date; replyTopic: string; sagaId: string | null; step: string | null; why: string; messageId: string | null; partition: number; offset: number }>('list-saga-refusals', `select r.refused_at as "refusedAt", r.reply_topic as "replyTopic", r.saga_id as "sagaId", r.step, r.why,
       r.message_id as "messageId", r.partition_number as partition, r.log_offset as "offset"
  from :schema.saga_refusal r
 where $1::text is null or r.reply_topic = $1::text
 order by r.id desc
 limit $2::integer`);

/**
 * Sagas in the order of their start: filtered by states, type, prefix of the key and age, starting after an id.
 * Index: saga_pkey, saga_ended_pkey
 */
export const listSagas = statement<[states: readonly (number | null)[], type: string | null, keyPrefix: string | null, olderThanMs: number | null, after: string | null, most: number], { id: string; type: string; version: number; key: string; replyTopic: string; state: number; revision: number; startedAt: Date; changedAt: Date; reason: string | null; parentId: string | null }>('list-sagas', `(select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key,
        s.reply_topic as "replyTopic", s.state::integer as state,
        s.revision, s.started_at as "startedAt", s.changed_at as "changedAt", s.reason, s.parent_id as "parentId"
   from :schema.saga s
  where s.state = any ($1::smallint[]) and ($2::text is null or s.saga_type = $2)
    and ($3::text is null or pg_catalog.starts_with(s.saga_key, $3))
    and ($4::bigint is null or s.started_at <= pg_catalog.clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and s.id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by s.id limit $6)
union all
(select e.id, e.saga_type, e.definition_version, e.saga_key, e.reply_topic, e.state::integer, e.revision,
        e.started_at, e.ended_at,
        e.reason, e.parent_id
   from :schema.saga_ended e
  where e.state = any ($1::smallint[]) and ($2::text is null or e.saga_type = $2)
    and ($3::text is null or pg_catalog.starts_with(e.saga_key, $3))
    and ($4::bigint is null or e.started_at <= pg_catalog.clock_timestamp() - $4::bigint::double precision * interval '1 millisecond')
    and e.id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
  order by e.id limit $6)
 order by id
 limit $6`);

/**
 * Of each version that running sagas have: how many there are, and how many milliseconds ago any process had a
 * definition of it. For health checks, whose login may read little.
 */
export const liveSagas = statement<[replyTopic: string], { type: string; version: number; sagas: number; seenMs: number | null }>('live-sagas', `select s.saga_type as type, s.definition_version as version, pg_catalog.count(*)::bigint as sagas,
       (select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.max(d.seen_at)) * 1000.0) from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type
           and d.definition_version = s.definition_version)::bigint as "seenMs"
  from :schema.saga s
 where s.reply_topic = $1::text
 group by s.saga_type, s.definition_version
 order by 1, 2`);

/**
 * The definitions of running sagas and of their completed children, with their shapes; and how many milliseconds ago
 * any process had a definition of that type and version.
 */
export const liveVersions = statement<[replyTopic: string], { type: string; version: number; fingerprint: string | null; sagas: number; shape: string | null; seenMs: number | null }>('live-versions', `select s.saga_type as type, s.definition_version as version, s.fingerprint, pg_catalog.count(*)::bigint as sagas,
       (select d.shape::text from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type and d.definition_version = s.definition_version
           and d.fingerprint = s.fingerprint) as shape,
       (select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.max(d.seen_at)) * 1000.0) from :schema.saga_definition d
         where d.reply_topic = $1::text and d.saga_type = s.saga_type
           and d.definition_version = s.definition_version)::bigint as "seenMs"
  from :schema.saga s
 where s.reply_topic = $1::text
 group by s.saga_type, s.definition_version, s.fingerprint
 order by 1, 2, 3`);

/**
 * Reads a running saga for a transition.
 * Locks: the saga, until the transaction ends
 * Index: saga_pkey
 */
export const loadSaga = statement<[id: string], { id: string; type: string; version: number; key: string; state: number; revision: number; parentId: string | null; parentStep: string | null; reason: string | null; content: string; nowMs: number; startedAtMs: number; fingerprint: string | null }>('load-saga', `select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key, s.state::integer as state,
       s.revision, s.parent_id as "parentId", s.parent_step as "parentStep", s.reason, s.content::text as content,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - s.started_at) * 1000.0)::bigint as "nowMs",
       (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs", s.fingerprint
  from :schema.saga s
 where s.id = $1::uuid
   for update`);

/**
 * In how many milliseconds the next saga is due; no row if none waits.
 * Index: saga_wake
 */
export const nextSagaWake = statement<[replyTopic: string], { inMs: number }>('next-saga-wake', `select pg_catalog.ceil(extract(epoch from pg_catalog.min(s.wake_at) - pg_catalog.clock_timestamp()) * 1000.0)::bigint as "inMs"
  from :schema.saga s
 where s.reply_topic = $1::text and s.wake_at is not null
having pg_catalog.min(s.wake_at) is not null`);

/**
 * Gives an operator's order to a saga; see the function.
 */
export const orderSaga = statement<[sagaId: string, order: string, revision: number, statedBy: string, reason: string | null], { id: number }>('order-saga', `select :schema.order_saga($1::uuid, $2::jsonb, $3::bigint, $4::text, $5::text) as id`);

/**
 * Sagas that were due some time ago and that no process has continued (counted up to 100,000), and how long the most
 * overdue has waited.
 * Index: saga_wake
 */
export const overdueSagas = statement<[overdueMs: number], { overdue: number; oldestOverdueMs: number | null }>('overdue-sagas', `select pg_catalog.count(*)::integer as overdue,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(s.wake_at)) * 1000.0)::bigint as "oldestOverdueMs"
  from (select u.wake_at from :schema.saga u
         where u.wake_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
         limit 100000) s`);

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
 * Of several attributes, the one that the fewest sagas have, counted up to 1,000: by its place, from 1.
 * Index: saga_attribute_value
 */
export const rarestAttribute = statement<[names: readonly (string | null)[], values: readonly (string | null)[]], { place: number }>('rarest-attribute', `select w.place::integer as place
  from unnest($1::text[], $2::text[]) with ordinality as w (name, value, place)
 cross join lateral (
   select pg_catalog.count(*) as sagas
     from (select from :schema.saga_attribute a where a.name = w.name and a.value = w.value limit 1000) f) c
 order by c.sagas, w.place
 limit 1`);

/**
 * The round and the attempt of an HTTP call.
 * Index: saga_call_pkey
 */
export const readSagaCall = statement<[sagaId: string, step: string, op: string], { round: number; attempt: number }>('read-saga-call', `select c.round, c.attempt
  from :schema.saga_call c
 where c.saga_id = $1::uuid and c.step = $2::text and c.op = $3::text`);

/**
 * The contents of some running sagas.
 * Index: saga_pkey
 */
export const readSagaContents = statement<[ids: readonly (string | null)[]], { id: string; content: string }>('read-saga-contents', `select s.id, s.content::text as content from :schema.saga s where s.id = any ($1::uuid[])`);

/**
 * A key of a service's sagas by its id.
 * Index: saga_mac_key_pkey
 */
export const readSagaKey = statement<[id: number, replyTopic: string], { secret: Buffer }>('read-saga-key', `select k.secret from :schema.saga_mac_key k where k.id = $1::bigint and k.reply_topic = $2::text`);

/**
 * Records that a message to a service's sagas was refused, unless a thousand such records exist: a sender that floods
 * the topic must not fill the database.
 */
export const refuseSagaMessage = statement<[replyTopic: string, sagaId: string | null, step: string | null, why: string, messageId: string | null, partition: number, offset: number], Record<never, never>>('refuse-saga-message', `insert into :schema.saga_refusal (reply_topic, saga_id, step, why, message_id, partition_number, log_offset)
select $1::text, $2::text, $3::text, $4::text, $5::text, $6::integer, $7::bigint
 where (select pg_catalog.count(*) from (select from :schema.saga_refusal r where r.reply_topic = $1::text limit 1000) r) < 1000`);

/**
 * Records that a process of a service has a definition.
 */
export const registerDefinition = statement<[replyTopic: string, type: string, version: number, fingerprint: string, shape: string, signals: readonly (string | null)[]], Record<never, never>>('register-definition', `insert into :schema.saga_definition as d (reply_topic, saga_type, definition_version, fingerprint, shape, signals)
values ($1::text, $2::text, $3::integer, $4::text, $5::json, $6::text[])
on conflict (reply_topic, saga_type, definition_version, fingerprint) do update set seen_at = pg_catalog.clock_timestamp()`);

/**
 * Releases what a saga holds: one entity, those of one of its branches, or all; returns the commands that waited.
 * Locks: the entities, and the commands
 * Index: saga_lock_saga, saga_stash_entity
 */
export const releaseEntities = statement<[sagaId: string, branch: string | null, entity: string | null], { topic: string; key: string | null; headers: string; control: string; payload: Buffer | null }>('release-entities', `select r.topic, r.message_key as key, r.headers, r.control, r.payload from :schema.saga_release($1, $2, $3) r`);

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
 * Records that an endpoint has replied later; false if it has replied already, or for another round.
 * Locks: the call
 * Index: saga_call_pkey
 */
export const replyToSagaCall = statement<[sagaId: string, step: string, op: string, round: number, rejected: boolean], { first: boolean }>('reply-to-saga-call', `select :schema.saga_call_reply($1::uuid, $2::text, $3::text, $4::integer, $5::boolean) as first`);

/**
 * Running sagas by state: their number, up to 100,000, and the age of the oldest.
 * Index: saga_pkey, saga_stuck
 */
export const sagaStats = statement<[replyTopic: string | null], { state: number; sagas: number; oldestMs: number }>('saga-stats', `select s.state::integer as state, pg_catalog.count(*)::bigint as sagas,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(s.started_at)) * 1000.0)::bigint as "oldestMs"
  from (select * from (select u.state, u.started_at from :schema.saga u
                        where ($1::text is null or u.reply_topic = $1) and u.state < 3
                        order by u.id limit 100000) under_way
         union all
        select * from (select t.state, t.started_at from :schema.saga t
                        where ($1::text is null or t.reply_topic = $1) and t.state = 3
                        order by t.id limit 100000) stuck) s
 group by s.state`);

/**
 * The history of a saga, in order.
 * Index: saga_transition_pkey
 */
export const sagaTimeline = statement<[id: string], { revision: number; at: Date; elapsedMs: number; state: number; content: string }>('saga-timeline', `select t.revision, t.at,
       pg_catalog.floor(extract(epoch from t.at - pg_catalog.min(t.at) over ()) * 1000.0)::bigint as "elapsedMs",
       t.state::integer as state, t.content::text as content
  from :schema.saga_transition t
 where t.slot = :schema.saga_slot($1::uuid) and t.saga_id = $1::uuid
 order by t.revision`);

/**
 * Writes a saga's attributes, in the transition that changes it; see the function.
 * Index: saga_attribute_pkey
 */
export const saveSagaAttributes = statement<[sagaId: string, replyTopic: string, attributes: string], Record<never, never>>('save-saga-attributes', `select from :schema.saga_attributes_save($1::uuid, $2::text, $3::json)`);

/**
 * Writes the HTTP calls of a transition, and voids those that it has given up; see the function.
 * Locks: the calls of the saga
 * Index: saga_call_pkey
 */
export const saveSagaCalls = statement<[sagaId: string, replyTopic: string, calls: string, underWay: string], Record<never, never>>('save-saga-calls', `select from :schema.saga_calls_save($1::uuid, $2::text, $3::json, $4::json)`);

/**
 * Writes a transition of a saga; fails if another transition came first, which its lock prevents.
 * Locks: the saga
 * Index: saga_pkey
 */
export const saveSaga = statement<[id: string, fromRevision: number, state: number, wakeMs: number | null, exactly: boolean, reason: string | null, content: string, transition: string], Record<never, never>>('save-saga', `select from :schema.saga_save($1, $2, $3::smallint, $4, $5, $6, $7::json, $8::json)`);

/**
 * Marks a wait that began in a transaction with a fixed snapshot, so that it is checked now.
 * Locks: the wait
 * Index: saga_event_wait_unseen
 */
export const seeWait = statement<[replyTopic: string], { sagaId: string; step: string; waiter: string; match: string }>('see-wait', `update :schema.saga_event_wait w set unseen = false
 where (w.saga_id, w.step) = (select f.saga_id, f.step from :schema.saga_event_wait f
                               where f.reply_topic = $1::text and f.unseen limit 1 for update skip locked)
returning w.saga_id as "sagaId", w.step, w.waiter, w.match`);

/**
 * One saga, running or ended.
 * Index: saga_pkey, saga_ended_pkey
 */
export const showSaga = statement<[id: string], { id: string; type: string; version: number; key: string; replyTopic: string; state: number; revision: number; startedAt: Date; changedAt: Date; reason: string | null; parentId: string | null; content: string; startedAtMs: number }>('show-saga', `select s.id, s.saga_type as type, s.definition_version as version, s.saga_key as key,
        s.reply_topic as "replyTopic", s.state::integer as state,
       s.revision, s.started_at as "startedAt", s.changed_at as "changedAt", s.reason, s.parent_id as "parentId",
       s.content::text as content, (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs"
  from :schema.saga s
 where s.id = $1::uuid
union all
select e.id, e.saga_type, e.definition_version, e.saga_key, e.reply_topic, e.state::integer, e.revision,
        e.started_at, e.ended_at,
       e.reason, e.parent_id, e.content::text, (extract(epoch from e.started_at) * 1000.0)::bigint
  from :schema.saga_ended e
 where e.slot = :schema.saga_slot($1::uuid) and e.id = $1::uuid`);

/**
 * Starts a saga unless its type and key exist: then returns the existing saga's id.
 * Locks: the new row, and its key
 * Index: saga_key, saga_ended_key
 */
export const startSaga = statement<[id: string, type: string, version: number, key: string, replyTopic: string, state: number, wakeMs: number | null, parentId: string | null, parentStep: string | null, reason: string | null, fingerprint: string, content: string, transition: string], { id: string; created: boolean; startedAtMs: number }>('start-saga', `select s.id, s.created, (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs"
  from :schema.saga_start($1, $2, $3, $4, $5, $6::smallint, $7, $8, $9, $10, $11, $12::json, $13::json) s`);

/**
 * Stores a command until an entity is released; false if too many wait for it.
 * Locks: the new row
 */
export const stashCommand = statement<[entity: string, most: number, waitMs: number, topic: string, key: string | null, headers: string, control: string, payload: Buffer | null], { stashed: boolean }>('stash-command', `select :schema.saga_stash_command($1, $2, $3, $4, $5, $6::json, $7::json, $8) as stashed`);

/**
 * One step of a bulk order; see the function.
 * Locks: the bulk order
 * Index: saga_bulk_pkey, saga_pkey
 */
export const stepSagaBulk = statement<[id: number, after: string, sagaIds: readonly (string | null)[], revisions: readonly (number | null)[], steps: readonly (string | null)[], cursor: string, isLast: boolean], Record<never, never>>('step-saga-bulk', `select from :schema.saga_bulk_step($1::bigint, $2::uuid, $3::uuid[], $4::bigint[], $5::text[], $6::uuid, $7::boolean)`);

/**
 * Makes the running sagas of one shape of a definition stuck, for operators to decide.
 * Locks: those sagas
 */
export const stickSagas = statement<[replyTopic: string, type: string, version: number, fingerprint: string, reason: string], Record<never, never>>('stick-sagas', `update :schema.saga s set state = 3, reason = $5::text, changed_at = pg_catalog.clock_timestamp()
 where s.reply_topic = $1::text and s.saga_type = $2::text and s.definition_version = $3::integer
   and s.fingerprint = $4::text and s.state < 3`);

/**
 * The step that waits for an event that has arrived; without one, the event is kept for a number of milliseconds.
 * Locks: the waiter and the matching event
 * Index: saga_event_wait_match
 */
export const takeEvent = statement<[replyTopic: string, topic: string, waiter: string, match: string, keepMs: number, content: string], { sagaId: string; step: string }>('take-event', `select t.saga_id as "sagaId", t.step from :schema.saga_take_event($1, $2, $3, $4, $5, $6::json) t`);

/**
 * Removes and returns commands that have waited for an entity too long.
 * Locks: the commands
 * Index: saga_stash_expires
 */
export const takeExpiredCommands = statement<[most: number], { entity: string; control: string }>('take-expired-commands', `delete from :schema.saga_stash s
 where s.id in (select e.id from :schema.saga_stash e where e.expires_at <= (select pg_catalog.clock_timestamp())
                 order by e.expires_at limit $1::integer for update skip locked)
returning s.entity, s.control::text as control`);

/**
 * Releases an entity by an operator's decision; no row if no saga holds it.
 * Locks: the entity
 * Index: saga_lock_pkey, saga_stash_entity
 */
export const unlockEntity = statement<[entity: string, statedBy: string, reason: string | null], { sagaId: string; branch: string; lockedAt: Date; waiting: number }>('unlock-entity', `select u.saga_id as "sagaId", u.branch, u.locked_at as "lockedAt", u.waiting
  from :schema.unlock_entity($1, $2, $3::text) u`);

/**
 * Removes and returns commands that wait for an entity that is no longer held.
 * Locks: the commands
 * Index: saga_lock_pkey
 */
export const wakeCommands = statement<[most: number], { topic: string; key: string | null; headers: string; control: string; payload: Buffer | null }>('wake-commands', `select w.topic, w.message_key as key, w.headers, w.control, w.payload from :schema.saga_wake($1) w`);

/**
 * Sets when a saga is due again, without a transition.
 * Locks: the saga
 * Index: saga_pkey
 */
export const wakeSaga = statement<[id: string, wakeMs: number | null], Record<never, never>>('wake-saga', `update :schema.saga s set wake_at = s.started_at + $2::bigint::double precision * interval '1 millisecond' where s.id = $1::uuid`);
