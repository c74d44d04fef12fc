// Made by scripts/build-sql.mjs from ../sql/operator; do not edit.
import { statement } from '@waybill/kernel/internal';

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
 * The contents of some running sagas.
 * Index: saga_pkey
 */
export const readSagaContents = statement<[ids: readonly (string | null)[]], { id: string; content: string }>('read-saga-contents', `select s.id, s.content::text as content from :schema.saga s where s.id = any ($1::uuid[])`);

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
 * One step of a bulk order; see the function.
 * Locks: the bulk order
 * Index: saga_bulk_pkey, saga_pkey
 */
export const stepSagaBulk = statement<[id: number, after: string, sagaIds: readonly (string | null)[], revisions: readonly (number | null)[], steps: readonly (string | null)[], cursor: string, isLast: boolean], Record<never, never>>('step-saga-bulk', `select from :schema.saga_bulk_step($1::bigint, $2::uuid, $3::uuid[], $4::bigint[], $5::text[], $6::uuid, $7::boolean)`);

/**
 * Releases an entity by an operator's decision; no row if no saga holds it.
 * Locks: the entity
 * Index: saga_lock_pkey, saga_stash_entity
 */
export const unlockEntity = statement<[entity: string, statedBy: string, reason: string | null], { sagaId: string; branch: string; lockedAt: Date; waiting: number }>('unlock-entity', `select u.saga_id as "sagaId", u.branch, u.locked_at as "lockedAt", u.waiting
  from :schema.unlock_entity($1, $2, $3::text) u`);
