// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel';

/**
 * Ends a redrive that still runs; what it has redriven stays so.
 */
export const cancelRedrive = statement<[id: number], { id: number }>('cancel-redrive', `update :schema.redrive r set state = 'cancelled', moved_at = pg_catalog.clock_timestamp()
 where r.id = $1 and r.state = 'running'
returning r.id`);

/**
 * Cancels scheduled messages, by their ids and by tokens, those that a login (null: the session's) may publish.
 * Locks: their rows; 40001 when one is just being moved between slots
 * Index: timer_message, timer_token
 */
export const cancelTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], asker: string | null], { cancelled: number }>('cancel-timers', `select :schema.timer_cancel($1, $2, $3) as cancelled`);

/**
 * Takes due timers, in no particular order: deletes and returns them.
 * Locks: the drainer's advisory lock (waited for at most 50 ms, 55P03), and the rows
 * Index: timer_due
 */
export const claimTimers = statement<[lowMs: number, kinds: readonly (number | null)[], limit: number, leaseMs: number], { nowMs: number; dueMs: number; id: number; kind: number; messageId: string | null; token: string | null; topic: string | null; partition: number | null; key: string | null; headers: string | null; payload: Buffer | null }>('claim-timers', `select c.now_ms as "nowMs", c.due_ms as "dueMs", c.id, c.kind, c.message_id::text as "messageId", c.token, c.topic,
       c.partition_number as partition, c.key, c.headers, c.payload
  from :schema.timer_claim(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2, $3, $4) c`);

/**
 * How many dead letters match a filter, and the id of the last.
 */
export const countDeadLetters = statement<[filter: string], { count: number; lastId: number }>('count-dead-letters', `select pg_catalog.count(*) as count, coalesce(pg_catalog.max(i.id), 0) as "lastId"
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)`);

/**
 * What stands of a subject in encrypted form.
 */
export const countOfSubject = statement<[subjectHash: Buffer, hashText: string], { deadLetters: number; parked: number; timers: number; halves: number; outbox: number; quarantined: number; sagas: number }>('count-of-subject', `select (select pg_catalog.count(*) from :schema.dead_letter d where position($1::bytea in d.payload) > 0) as "deadLetters",
       (select pg_catalog.count(*) from :schema.parked_message m where position($1::bytea in m.payload) > 0) as parked,
       (select pg_catalog.count(*) from :schema.timer t where position($1::bytea in t.payload) > 0) as timers,
       (select pg_catalog.count(*) from :schema.half_message h
         where exists (select from pg_catalog.unnest(h.payloads) as p (payload) where position($1::bytea in p.payload) > 0)) as halves,
       (select pg_catalog.count(*) from :schema.outbox o where position($1::bytea in o.payload) > 0) as outbox,
       (select pg_catalog.count(*) from :schema.outbox_quarantine q where position($1::bytea in q.payload) > 0) as quarantined,
       (select pg_catalog.count(*) from :schema.saga s where s.content->>'subject'::text = $2)
         + (select pg_catalog.count(*) from :schema.saga_ended e where e.content->>'subject'::text = $2) as sagas`);

/**
 * The database's clock, in milliseconds since the epoch.
 */
export const databaseTime = statement<[], { nowMs: number }>('database-time', `select :schema.timer_ms(pg_catalog.clock_timestamp()) as "nowMs"`);

/**
 * Dead letters about which nobody has decided, by group and topic; counted up to 100,000 in all.
 */
export const deadLetterBacklogs = statement<[], { groupName: string; topic: string; open: number; oldestAgeMs: number }>('dead-letter-backlogs', `select g.name as "groupName", d.topic, pg_catalog.count(*)::integer as open,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(d.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select x.group_id, x.topic, x.created_at
          from :schema.dead_letter x where x.state = 'open' limit 100000) d
  join :schema.consumer_group g on g.id = d.group_id
 group by g.name, d.topic
 order by g.name, d.topic`);

/**
 * Destroys the keys of a subject, for good.
 * Locks: transactions that keep something for the subject, and those wait for it
 */
export const destroySubjectKeys = statement<[subjectHash: Buffer], { destroyed: number }>('destroy-subject-keys', `select :schema.destroy_subject_keys($1) as destroyed`);

/**
 * Discards those of the dead letters that are open.
 * Locks: the dead letters by id
 */
export const discardDeadLetters = statement<[ids: readonly (number | null)[]], { id: number }>('discard-dead-letters', `select d.id from :schema.discard_dead_letters($1) as d (id)`);

/**
 * Discards open dead letters that have failed last long ago, up to a limit, and lets go of what waited behind them.
 * Locks: their rows
 */
export const discardExpiredDeadLetters = statement<[openForMs: number, most: number], { id: number }>('discard-expired-dead-letters', `select d.id from :schema.discard_dead_letters(array(
  select o.id from :schema.dead_letter o
   where o.state = 'open'
     and o.last_failed_at < (select pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
   order by o.id limit $2)) as d (id)`);

/**
 * Draws a portion from the group's budget of retries; returns how many it got.
 * Locks: the group's row of retry_budget
 */
export const drawRetryBudget = statement<[groupId: number, wanted: number, perSecond: number, burst: number], { granted: number }>('draw-retry-budget', `select :schema.retry_budget_draw($1, $2, $3, $4) as granted`);

/**
 * Changes the message of an open dead letter and hands it to the handler that failed.
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
 * Empties the near slot whose hour is past, when all its timers have gone.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyTimerSlot = statement<[], { emptied: boolean }>('empty-timer-slot', `select :schema.timer_empty_slot() as emptied`);

/**
 * Erases what can be erased of the messages with one of these keys, or of one message: dead letters lose their content and are
 * closed, half messages that are undecided are rolled back, rows that only wait are removed, kept results are emptied.
 * Locks: their rows
 */
export const eraseMessages = statement<[keys: readonly (string | null)[], messageId: string | null, topic: string | null], { deadLetters: number; parked: number; timers: number; recurring: number; halves: number; decidedHalves: number; outbox: number; quarantined: number; results: number }>('erase-messages', `with letters as (
  update :schema.dead_letter d
     set payload = null, headers = '[]'::jsonb, key = null, error_message = 'erased', error_stack = null,
         state = case when d.state in ('open', 'redriving') then 'discarded' else d.state end,
         state_since = case when d.state in ('open', 'redriving') then pg_catalog.clock_timestamp() else d.state_since end
   where (d.key = any ($1) or d.message_id = $2) and ($3::text is null or d.topic = $3::text)
  returning 1
), parked as (
  delete from :schema.parked_message m
   using :schema.topic_partition p, :schema.topic t
   where p.id = m.partition_id and t.id = p.topic_id and ($3::text is null or t.name = $3::text)
     and (m.key = any ($1) or m.message_id = $2)
  returning 1
), timers as (
  delete from :schema.timer i
   where i.kind = 1 and (i.key = any ($1) or i.message_id = $2::text::uuid)
     and ($3::text is null or i.topic = $3::text)
  returning 1
), recurring as (
  delete from :schema.recurring_message r
   where r.key = any ($1) and ($3::text is null or r.topic = $3::text)
  returning r.name
), runs as (
  delete from :schema.timer i using recurring r where i.kind = 2 and i.token = r.name
), halves as (
  delete from :schema.half_message h
   where exists (select from pg_catalog.jsonb_array_elements(h.messages) as m (message)
                  where (m.message->>'key'::text = any ($1) or m.message->>'id'::text = $2)
                    and ($3::text is null or m.message->>'topic'::text = $3::text))
  returning h.id, h.producer_group, h.prepared_at, h.checks
), rolled_back as (
  insert into :schema.half_message_decided (slot, id, producer_group, state, prepared_at, decided_by, reason, checks, messages)
  select (pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()) / 86400.0)::bigint % 9::bigint)::smallint, h.id, h.producer_group,
         3::smallint, h.prepared_at, session_user::text, 'erased', h.checks, '[]'::jsonb
    from halves h
), decided as (
  update :schema.half_message_decided h set messages = '[]'::jsonb
   where exists (select from pg_catalog.jsonb_array_elements(h.messages) as m (message)
                  where (m.message->>'key'::text = any ($1) or m.message->>'id'::text = $2)
                    and ($3::text is null or m.message->>'topic'::text = $3::text))
  returning 1
), outbox as (
  delete from :schema.outbox o
   where (o.key = any ($1) or o.message_id = $2::text::uuid) and ($3::text is null or o.topic = $3::text)
  returning 1
), quarantined as (
  delete from :schema.outbox_quarantine q
   where (q.key = any ($1) or q.message_id = $2::text::uuid) and ($3::text is null or q.topic = $3::text)
  returning 1
), results as (
  update :schema.idempotent_message i set result = null where i.message_id = $2 and i.result is not null
  returning 1
)
select (select pg_catalog.count(*) from letters) as "deadLetters", (select pg_catalog.count(*) from parked) as parked,
       (select pg_catalog.count(*) from timers) as timers, (select pg_catalog.count(*) from recurring) as recurring,
       (select pg_catalog.count(*) from halves) as halves, (select pg_catalog.count(*) from decided) as "decidedHalves",
       (select pg_catalog.count(*) from outbox) as outbox, (select pg_catalog.count(*) from quarantined) as quarantined,
       (select pg_catalog.count(*) from results) as results`);

/**
 * Removes what sagas of a subject are found by: it stands there as it is, whatever else is encrypted.
 * Index: saga_attribute_pkey
 */
export const eraseSagaAttributes = statement<[subjectHash: string], { removed: number }>('erase-saga-attributes', `with of_subject as (
  select s.id from :schema.saga s where s.content->>'subject'::text = $1
  union all
  select e.id from :schema.saga_ended e where e.content->>'subject'::text = $1
), gone as (
  delete from :schema.saga_attribute a using of_subject s
   where a.slot = :schema.saga_slot(s.id) and a.saga_id = s.id
  returning 1
)
select pg_catalog.count(*) as removed from gone`);

/**
 * Sagas of a subject that are under way.
 */
export const findSagasOfSubject = statement<[subjectHash: string], { id: string; type: string }>('find-sagas-of-subject', `select s.id, s.saga_type as type from :schema.saga s where s.state <= 3 and s.content->>'subject'::text = $1 order by s.id`);

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
 * Dead letters that match a filter, counted by the kind of their failure; the most frequent first.
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
 * Keeps a message that could not be handled, with what went wrong; opens its dead letter again after a redrive.
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
 * What operators did to a target, newest first; to all targets of its kind when none is named. By the name that was given,
 * where one was.
 * Index: operator_action_target
 */
export const listActions = statement<[targetKind: string, target: string | null, limit: number], { id: number; actedAt: Date; actor: string; by: string; action: string; target: string; reason: string | null; details: string }>('list-actions', `select a.id, a.acted_at as "actedAt", a.actor, a.stated_by as "by", a.action, a.target, a.reason, a.details::text as details
  from :schema.operator_action a
 where a.target_kind = $1 and ($2::text is null or a.target = $2)
 order by a.id desc
 limit $3`);

/**
 * Dead letters that match a filter, by id, without their payloads. The filter is that of dead_letter_ids.
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
 * All recurring messages, with their next runs.
 * Index: timer_token
 */
export const listRecurring = statement<[], { name: string; topic: string; partition: number | null; key: string | null; cron: string | null; timeZone: string | null; everyMs: number | null; missed: string; nextRunMs: number | null }>('list-recurring', `select r.name, r.topic, r.partition_number as partition, r.key, r.cron, r.time_zone as "timeZone",
       r.every_ms as "everyMs", r.missed,
       (select (t.headers->>'runAtMs'::text)::bigint from :schema.timer t
         where t.token = r.name and t.kind = 2 and (t.headers->>'revision'::text)::bigint = r.revision
         limit 1) as "nextRunMs"
  from :schema.recurring_message r
 order by r.name`);

/**
 * The newest redrives.
 */
export const listRedrives = statement<[limit: number], { id: number; actor: string; by: string; perSecond: number; total: number; redriven: number; state: string; startedAt: Date }>('list-redrives', `select r.id, r.actor, r.stated_by as "by", r.per_second as "perSecond", r.total, r.redriven, r.state, r.started_at as "startedAt"
  from :schema.redrive r
 order by r.id desc
 limit $1`);

/**
 * The time, and when the next timer is due, of those that are not due before low.
 * Index: timer_due
 */
export const probeTimers = statement<[lowMs: number, kinds: readonly (number | null)[]], { nowMs: number; nextMs: number | null }>('probe-timers', `select p.now_ms as "nowMs", p.next_ms as "nextMs"
  from :schema.timer_probe(timestamptz 'epoch' + $1::bigint::double precision * interval '1 millisecond', $2) p`);

/**
 * Moves far timers that have come near into their near slots.
 * Index: timer_due
 */
export const promoteTimers = statement<[limit: number], { moved: number }>('promote-timers', `select :schema.timer_promote($1) as moved`);

/**
 * Stores a recurring message, and a timer for its first run unless the definition is as it was.
 * Locks: its row
 */
export const putRecurring = statement<[name: string, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, cron: string | null, timeZone: string | null, everyMs: number | null, missed: string, firstRunMs: number], { changed: boolean; dueMs: number | null }>('put-recurring', `select p.changed, p.due_ms as "dueMs"
  from :schema.recurring_put($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11) p`);

/**
 * The recurring messages of these names.
 */
export const readRecurring = statement<[names: readonly (string | null)[]], { name: string; topic: string; partition: number | null; key: string | null; headers: string | null; payload: Buffer | null; cron: string | null; timeZone: string | null; everyMs: number | null; missed: string; revision: number; scheduledMs: number }>('read-recurring', `select r.name, r.topic, r.partition_number as partition, r.key, r.headers::text as headers, r.payload, r.cron,
       r.time_zone as "timeZone", r.every_ms as "everyMs", r.missed, r.revision,
       :schema.timer_ms(r.scheduled_at) as "scheduledMs"
  from :schema.recurring_message r
 where r.name = any ($1)`);

/**
 * The stretches of slotMs milliseconds, numbered by their ends, in which timers are due.
 * Locks: the loader's advisory lock, tried and not waited for
 * Index: timer_due
 */
export const readTimerWindow = statement<[fromMs: number, untilMs: number, slotMs: number], { busy: boolean; slots: readonly number[] | null }>('read-timer-window', `select w.busy, w.due_slots as slots from :schema.timer_window($1, $2, $3) w`);

/**
 * Keeps what an operator did.
 */
export const recordAction = statement<[statedBy: string, action: string, targetKind: string, target: string, reason: string | null, details: string], Record<never, never>>('record-action', `insert into :schema.operator_action (stated_by, action, target_kind, target, reason, details)
values ($1, $2, $3, $4, $5, $6::jsonb)`);

/**
 * Redrives those of the dead letters that are open.
 * Locks: the dead letters by id
 */
export const redriveDeadLetters = statement<[ids: readonly (number | null)[]], { redriven: number }>('redrive-dead-letters', `select :schema.redrive_dead_letters($1) as redriven`);

/**
 * One step of a redrive, of up to so many dead letters; no row when there is no such redrive.
 * Locks: the redrive's row, then the dead letters by id
 */
export const redriveStep = statement<[id: number, most: number], { id: number; actor: string; perSecond: number; total: number; redriven: number; state: string }>('redrive-step', `select r.id, r.actor, r.per_second as "perSecond", r.total, r.redriven, r.state
  from :schema.redrive_step($1, $2) r`);

/**
 * Removes dead letters that have been closed for long, up to so many.
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
 * Removes dead letters, with all that they hold.
 * Index: dead_letter_pkey
 */
export const removeDeadLetters = statement<[ids: readonly (number | null)[]], Record<never, never>>('remove-dead-letters', `delete from :schema.dead_letter d where d.id = any ($1)`);

/**
 * Removes records of what operators did that are past their time, up to so many.
 * Index: operator_action_acted
 */
export const removeOldActions = statement<[olderThanMs: number, most: number], { removed: number }>('remove-old-actions', `select :schema.audit_forget($1, $2) as removed`);

/**
 * Removes a recurring message and its timer; one that is being fired at this moment is left alone.
 */
export const removeRecurring = statement<[name: string], { name: string }>('remove-recurring', `with gone as (
  delete from :schema.recurring_message r where r.name = $1 returning r.name
), run as (
  select t.slot, t.due_at, t.id from :schema.timer t
    join gone g on t.token = g.name
   where t.kind = 2 for update of t skip locked
), removed as (
  delete from :schema.timer t using run r where t.slot = r.slot and t.due_at = r.due_at and t.id = r.id
)
select g.name from gone g`);

/**
 * Closes an open dead letter because another message was sent instead, and lets go of what waited behind it.
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
 * Moves scheduled messages to another time, by their ids and by tokens: to a time, or by a delay from now;
 * those that a login (null: the session's) may publish.
 * Locks: their rows; 40001 when one is just being moved between slots
 * Index: timer_message, timer_token
 */
export const rescheduleTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], dueMs: number | null, delayMs: number | null, asker: string | null], { moved: number; dueMs: number }>('reschedule-timers', `select r.moved, r.due_ms as "dueMs"
  from :schema.timer_reschedule(
         $1, $2, coalesce(timestamptz 'epoch' + $3::bigint::double precision * interval '1 millisecond',
                          pg_catalog.clock_timestamp() + $4::bigint::double precision * interval '1 millisecond'), $5) r`);

/**
 * Closes the dead letter of a message that was redriven and has been handled.
 */
export const resolveRedriven = statement<[groupId: number, partitionId: number, offset: number], Record<never, never>>('resolve-redriven', `update :schema.dead_letter d
   set state = 'redriven', state_since = pg_catalog.clock_timestamp()
 where d.group_id = $1 and d.partition_id = $2 and d.log_offset = $3 and d.state = 'redriving'`);

/**
 * Schedules one message, after a delay by the database's clock or at a time, of which one is given. The topic is looked
 * up.
 * Locks: none but the new row
 */
export const scheduleMessage = statement<[messageId: string, token: string | null, topic: string, partition: number | null, key: string | null, headers: string | null, payload: Buffer | null, dueMs: number | null, delayMs: number | null], { dueMs: number }>('schedule-message', `select s.due_ms as "dueMs"
  from :schema.timer_schedule(
         array[$1::uuid], array[$2::text], array[:schema.known_topic($3::text, $4::integer)], array[$4::integer],
         array[$5::text], array[$6::text], array[$7::bytea],
         array[coalesce($8::bigint, :schema.timer_ms(pg_catalog.clock_timestamp()) + 1 + $9::bigint)]) s`);

/**
 * Schedules the next runs of recurring messages.
 * Locks: none but the new rows
 */
export const scheduleRuns = statement<[names: readonly (string | null)[], revisions: readonly (number | null)[], runAtMs: readonly (number | null)[]], { dueMs: number }>('schedule-runs', `with next_run as materialized (
  select n.*, :schema.timer_due(timestamptz 'epoch' + n.run_at_ms::double precision * interval '1 millisecond') as due_at
    from unnest($1::text[], $2::bigint[], $3::bigint[]) as n (name, revision, run_at_ms)
)
insert into :schema.timer as t (slot, due_at, kind, token, headers)
select :schema.timer_slot(n.due_at), n.due_at, 2, n.name,
       pg_catalog.jsonb_build_object('revision', n.revision, 'runAtMs', n.run_at_ms)
  from next_run n
returning :schema.timer_ms(t.due_at) as "dueMs"`);

/**
 * Schedules messages for later, in the order of the arrays; times in milliseconds since the epoch. A time in the past
 * is now. Topics are those of the log, and are not looked up.
 * Locks: none but the new rows
 */
export const scheduleTimers = statement<[messageIds: readonly (string | null)[], tokens: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], payloads: readonly (Buffer | null)[], dueMs: readonly (number | null)[]], { dueMs: number }>('schedule-timers', `select s.due_ms as "dueMs" from :schema.timer_schedule($1, $2, $3, $4, $5, $6, $7, $8) s`);

/**
 * Sets messages aside whose timers are being fired and cannot be.
 * Locks: none but the new rows
 */
export const setAsideTimers = statement<[timerIds: readonly (number | null)[], messageIds: readonly (string | null)[], tokens: readonly (string | null)[], topics: readonly (string | null)[], partitions: readonly (number | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], payloads: readonly (Buffer | null)[], dueMs: readonly (number | null)[], codes: readonly (string | null)[], reasons: readonly (string | null)[]], Record<never, never>>('set-aside-timers', `select :schema.timer_set_aside($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`);

/**
 * One dead letter with everything.
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
 * Begins a redrive of the dead letters that match a filter now.
 */
export const startRedrive = statement<[filter: string, statedBy: string, perSecond: number], { id: number; total: number }>('start-redrive', `insert into :schema.redrive (filter, stated_by, per_second, up_to_id, total)
select $1::jsonb, $2, $3, coalesce(pg_catalog.max(i.id), 0), pg_catalog.count(*)
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
returning id, total`);

/**
 * Sagas of a subject that was erased are stuck: nobody can read them.
 */
export const stopSagasOfSubject = statement<[subjectHash: string], Record<never, never>>('stop-sagas-of-subject', `update :schema.saga s set state = 3::smallint, reason = 'its subject was erased', wake_at = null, changed_at = pg_catalog.clock_timestamp()
 where s.state <= 3 and s.content->>'subject'::text = $1`);

/**
 * What is pending, in figures, each counted up to 100,000.
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

/**
 * Groups and topics of the open dead letters that match a filter, of which no living process handles the topic.
 */
export const unservedDeadLetters = statement<[filter: string], { group: string; topic: string }>('unserved-dead-letters', `select distinct g.name as "group", d.topic
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 where not exists (select from :schema.group_member m
                    where m.group_id = d.group_id and m.lease_until > pg_catalog.clock_timestamp() and d.topic = any (m.topics))
 order by 1, 2`);
