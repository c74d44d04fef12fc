// Made by scripts/build-sql.mjs from ../sql/engine; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Lets a step wait for an event; if the event has already arrived, returns its content instead.
 * Locks: the waiter and the matching event
 * Index: saga_event_match, saga_event_wait_pkey
 */
export const awaitEvent = statement<[sagaId: string, step: string, replyTopic: string, waiter: string, match: string], { content: string | null }>('await-event', `select :schema.saga_await_event($1, $2, $3, $4, $5) as content`);

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
 * Ends a step's wait for its event.
 * Index: saga_event_wait_pkey
 */
export const forgetEvent = statement<[sagaId: string, step: string], Record<never, never>>('forget-event', `delete from :schema.saga_event_wait w where w.saga_id = $1::uuid and w.step = $2::text`);

/**
 * Stores an event that arrived for a saga without an effect.
 */
export const keepIgnoredEvent = statement<[replyTopic: string, sagaId: string | null, kind: string, name: string | null, why: string, content: string], Record<never, never>>('keep-ignored-event', `insert into :schema.saga_ignored (reply_topic, saga_id, kind, name, why, content)
values ($1::text, $2::uuid, $3::text, $4::text, $5::text, $6::json)`);

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
 * Records that a process of a service has a definition.
 */
export const registerDefinition = statement<[replyTopic: string, type: string, version: number, fingerprint: string, shape: string, signals: readonly (string | null)[]], Record<never, never>>('register-definition', `insert into :schema.saga_definition as d (reply_topic, saga_type, definition_version, fingerprint, shape, signals)
values ($1::text, $2::text, $3::integer, $4::text, $5::json, $6::text[])
on conflict (reply_topic, saga_type, definition_version, fingerprint) do update set seen_at = pg_catalog.clock_timestamp()`);

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
 * Starts a saga unless its type and key exist: then returns the existing saga's id.
 * Locks: the new row, and its key
 * Index: saga_key, saga_ended_key
 */
export const startSaga = statement<[id: string, type: string, version: number, key: string, replyTopic: string, state: number, wakeMs: number | null, parentId: string | null, parentStep: string | null, reason: string | null, fingerprint: string, content: string, transition: string], { id: string; created: boolean; startedAtMs: number }>('start-saga', `select s.id, s.created, (extract(epoch from s.started_at) * 1000.0)::bigint as "startedAtMs"
  from :schema.saga_start($1, $2, $3, $4, $5, $6::smallint, $7, $8, $9, $10, $11, $12::json, $13::json) s`);

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
