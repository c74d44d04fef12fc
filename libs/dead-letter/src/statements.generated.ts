// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Ends a running redrive; dead letters already redriven stay so.
 */
export const cancelRedrive = statement<[id: number], { id: number }>('cancel-redrive', `update :schema.redrive r set state = 'cancelled', moved_at = pg_catalog.clock_timestamp()
 where r.id = $1 and r.state = 'running'
returning r.id`);

/**
 * Counts the dead letters that match a filter, and returns the id of the last.
 */
export const countDeadLetters = statement<[filter: string], { count: number; lastId: number }>('count-dead-letters', `select pg_catalog.count(*) as count, coalesce(pg_catalog.max(i.id), 0) as "lastId"
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)`);

/**
 * Undecided dead letters by group and topic; counted up to 100,000 in all.
 */
export const deadLetterBacklogs = statement<[], { groupName: string; topic: string; open: number; oldestAgeMs: number }>('dead-letter-backlogs', `select g.name as "groupName", d.topic, pg_catalog.count(*)::integer as open,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(d.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select x.group_id, x.topic, x.created_at
          from :schema.dead_letter x where x.state = 'open' limit 100000) d
  join :schema.consumer_group g on g.id = d.group_id
 group by g.name, d.topic
 order by g.name, d.topic`);

/**
 * Discards those of the given dead letters that are open.
 * Locks: the dead letters by id
 */
export const discardDeadLetters = statement<[ids: readonly (number | null)[]], { id: number }>('discard-dead-letters', `select d.id from :schema.discard_dead_letters($1) as d (id)`);

/**
 * Discards open dead letters whose last failure is long ago, up to a limit, and releases the messages that waited for
 * them.
 * Locks: their rows
 */
export const discardExpiredDeadLetters = statement<[openForMs: number, most: number], { id: number }>('discard-expired-dead-letters', `select d.id from :schema.discard_dead_letters(array(
  select o.id from :schema.dead_letter o
   where o.state = 'open'
     and o.last_failed_at < (select pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
   order by o.id limit $2)) as d (id)`);

/**
 * Changes the message of an open dead letter and sends it to the handler that failed.
 * Locks: the dead letter
 */
export const editDeadLetter = statement<[id: number, messageId: string, headers: string, payload: Buffer | null], { redriven: number }>('edit-dead-letter', `with edited as (
  update :schema.dead_letter d
     set message_id = $2, headers = $3::jsonb, payload = $4, replaced_by = $2
   where d.id = $1 and d.state = 'open'
  returning d.id
)
select pg_catalog.count(*) as redriven from edited`);

/**
 * Counts the dead letters that match a filter by kind of failure; most frequent first.
 */
export const groupDeadLetters = statement<[filter: string, limit: number], { fingerprint: string; group: string; topic: string; handler: string; errorClass: string; errorMessage: string; count: number; firstFailedAt: Date; lastFailedAt: Date; newestId: number }>('group-dead-letters', `select d.fingerprint, g.name as "group", d.topic, d.handler, d.error_class as "errorClass",
       (pg_catalog.array_agg(d.error_message order by d.id desc))[1] as "errorMessage", pg_catalog.count(*) as count,
       pg_catalog.min(d.first_failed_at) as "firstFailedAt", pg_catalog.max(d.last_failed_at) as "lastFailedAt", pg_catalog.max(d.id) as "newestId"
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 group by d.fingerprint, g.name, d.topic, d.handler, d.error_class
 order by pg_catalog.count(*) desc, pg_catalog.max(d.id) desc
 limit $2`);

/**
 * Stores a message that could not be handled, with its error; reopens its dead letter after a redrive.
 */
export const insertDeadLetter = statement<[groupId: number, partitionId: number, offset: number, bucketSeq: number, topic: string, partition: number, handler: string, messageId: string | null, key: string | null, headers: string, payload: Buffer | null, timestampMs: number, reason: string, errorClass: string, errorCode: string | null, errorMessage: string, errorStack: string | null, fingerprint: string, attempts: number, failingForMs: number], Record<never, never>>('insert-dead-letter', `insert into :schema.dead_letter as d (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                      message_id, key, headers, payload, timestamp_ms, reason, error_class,
                                      error_code, error_message, error_stack, fingerprint, attempts,
                                      first_failed_at, last_failed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        pg_catalog.clock_timestamp() - $20::bigint::double precision * interval '1 millisecond', pg_catalog.clock_timestamp())
on conflict (group_id, partition_id, log_offset) do update
   set reason = excluded.reason, error_class = excluded.error_class, error_code = excluded.error_code,
       error_message = excluded.error_message, error_stack = excluded.error_stack,
       fingerprint = excluded.fingerprint, attempts = d.attempts + excluded.attempts,
       last_failed_at = excluded.last_failed_at, state = 'open', state_since = pg_catalog.clock_timestamp()
 where d.state = 'redriving'`);

/**
 * Operators' actions on a target, newest first; on all targets of its kind if none is given. Filtered by the stated
 * name, if one is given.
 * Index: operator_action_target
 */
export const listActions = statement<[targetKind: string, target: string | null, limit: number], { id: number; actedAt: Date; actor: string; by: string; action: string; target: string; reason: string | null; details: string }>('list-actions', `select a.id, a.acted_at as "actedAt", a.actor, a.stated_by as "by", a.action, a.target, a.reason, a.details::text as details
  from :schema.operator_action a
 where a.target_kind = $1 and ($2::text is null or a.target = $2)
 order by a.id desc
 limit $3`);

/**
 * Lists dead letters that match a filter, by id, without payloads. The filter is that of dead_letter_ids.
 */
export const listDeadLetters = statement<[filter: string, afterId: number, limit: number], { id: number; group: string; topic: string; partition: number; offset: number; handler: string; messageId: string | null; key: string | null; reason: string; errorClass: string; errorMessage: string; fingerprint: string; attempts: number; state: string; redrives: number; replacedBy: string | null; firstFailedAt: Date; lastFailedAt: Date }>('list-dead-letters', `select d.id, g.name as "group", d.topic, d.partition_number as partition, d.log_offset as "offset", d.handler,
       d.message_id as "messageId", d.key, d.reason, d.error_class as "errorClass",
       d.error_message as "errorMessage", d.fingerprint, d.attempts, d.state, d.redrives,
       d.replaced_by as "replacedBy", d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt"
  from :schema.dead_letter_ids($1::jsonb, $2::bigint, $3::integer) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 order by d.id`);

/**
 * The newest redrives.
 */
export const listRedrives = statement<[limit: number], { id: number; actor: string; by: string; perSecond: number; total: number; redriven: number; state: string; startedAt: Date }>('list-redrives', `select r.id, r.actor, r.stated_by as "by", r.per_second as "perSecond", r.total, r.redriven, r.state, r.started_at as "startedAt"
  from :schema.redrive r
 order by r.id desc
 limit $1`);

/**
 * Groups and topics of the dead letters that match a filter.
 */
export const openDeadLetterTopics = statement<[filter: string], { group: string; topic: string }>('open-dead-letter-topics', `select distinct g.name as "group", d.topic
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 order by 1, 2`);

/**
 * Records an operator's action.
 */
export const recordAction = statement<[statedBy: string, action: string, targetKind: string, target: string, reason: string | null, details: string], Record<never, never>>('record-action', `insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
values ($1, $2, $3, $4, $5, $6::jsonb)`);

/**
 * Redrives those of the given dead letters that are open.
 * Locks: the dead letters by id
 */
export const redriveDeadLetters = statement<[ids: readonly (number | null)[]], { redriven: number }>('redrive-dead-letters', `select :schema.redrive_dead_letters($1) as redriven`);

/**
 * One step of a redrive, of up to most dead letters; no row if there is no such redrive.
 * Locks: the redrive's row, then the dead letters by id
 */
export const redriveStep = statement<[id: number, most: number], { id: number; actor: string; perSecond: number; total: number; redriven: number; state: string }>('redrive-step', `select r.id, r.actor, r.per_second as "perSecond", r.total, r.redriven, r.state
  from :schema.redrive_step($1, $2) r`);

/**
 * Removes dead letters that have been closed for long, up to a limit.
 * Index: dead_letter_closed
 */
export const removeClosedDeadLetters = statement<[closedForMs: number, most: number], { removed: number }>('remove-closed-dead-letters', `with old as (
  delete from :schema.dead_letter d
   where d.id = any (array(select o.id from :schema.dead_letter o
                   where o.state in ('redriven', 'replaced', 'discarded')
                     and o.state_since < (select pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
                   order by o.state_since limit $2))
  returning 1
)
select pg_catalog.count(*) as removed from old`);

/**
 * Removes dead letters, with all their content.
 * Index: dead_letter_pkey
 */
export const removeDeadLetters = statement<[ids: readonly (number | null)[]], Record<never, never>>('remove-dead-letters', `delete from :schema.dead_letter d where d.id = any ($1)`);

/**
 * Removes expired records of operators' actions, up to a limit.
 * Index: operator_action_acted
 */
export const removeOldActions = statement<[olderThanMs: number, most: number], { removed: number }>('remove-old-actions', `select :schema.audit_forget($1, $2) as removed`);

/**
 * Closes an open dead letter because another message was sent instead, and releases the messages that waited for it.
 */
export const replaceDeadLetter = statement<[id: number, replacedBy: string], { id: number }>('replace-dead-letter', `with replaced as (
  update :schema.dead_letter d
     set state = 'replaced', state_since = pg_catalog.clock_timestamp(), replaced_by = $2
   where d.id = $1 and d.state = 'open'
  returning d.id, d.group_id, d.partition_id, d.log_offset
), released as (
  delete from :schema.parked_message m
   using replaced r
   where m.group_id = r.group_id and m.partition_id = r.partition_id and m.log_offset = r.log_offset
)
select r.id from replaced r`);

/**
 * Closes the dead letter of a message that was redriven and has been handled.
 */
export const resolveRedriven = statement<[groupId: number, partitionId: number, offset: number], Record<never, never>>('resolve-redriven', `update :schema.dead_letter d
   set state = 'redriven', state_since = pg_catalog.clock_timestamp()
 where d.group_id = $1 and d.partition_id = $2 and d.log_offset = $3 and d.state = 'redriving'`);

/**
 * One dead letter with all its values.
 */
export const showDeadLetter = statement<[id: number], { id: number; group: string; topic: string; partition: number; offset: number; handler: string; messageId: string | null; key: string | null; reason: string; errorClass: string; errorMessage: string; fingerprint: string; attempts: number; state: string; redrives: number; replacedBy: string | null; firstFailedAt: Date; lastFailedAt: Date; errorCode: string | null; errorStack: string | null; headers: string; payload: Buffer | null; timestampMs: number }>('show-dead-letter', `select d.id, g.name as "group", d.topic, d.partition_number as partition, d.log_offset as "offset", d.handler,
       d.message_id as "messageId", d.key, d.reason, d.error_class as "errorClass",
       d.error_message as "errorMessage", d.fingerprint, d.attempts, d.state, d.redrives,
       d.replaced_by as "replacedBy", d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt",
       d.error_code as "errorCode", d.error_stack as "errorStack", d.headers::text as headers, d.payload,
       d.timestamp_ms as "timestampMs"
  from :schema.dead_letter d
  join :schema.consumer_group g on g.id = d.group_id
 where d.id = $1`);

/**
 * Begins a redrive of the dead letters that currently match a filter.
 */
export const startRedrive = statement<[filter: string, statedBy: string, perSecond: number], { id: number; total: number }>('start-redrive', `insert into :schema.redrive (filter, stated_by, per_second, up_to_id, total)
select $1::jsonb, $2, $3, coalesce(pg_catalog.max(i.id), 0), pg_catalog.count(*)
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
returning id, total`);
