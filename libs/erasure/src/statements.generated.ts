// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Counts the encrypted rows of a subject.
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
 * Destroys the keys of a subject, for good.
 * Locks: waits for transactions that store something for the subject, and they for it
 */
export const destroySubjectKeys = statement<[subjectHash: Buffer], { destroyed: number }>('destroy-subject-keys', `select :schema.destroy_subject_keys($1) as destroyed`);

/**
 * Erases what is possible of the messages with one of these keys, or of one message: dead letters lose their content
 * and are closed, undecided half messages are rolled back, waiting rows are removed, stored results are emptied.
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
 * Removes the attributes of a subject's sagas: they are stored in plain text, even with encryption.
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
 * Active sagas of a subject.
 */
export const findSagasOfSubject = statement<[subjectHash: string], { id: string; type: string }>('find-sagas-of-subject', `select s.id, s.saga_type as type from :schema.saga s where s.state <= 3 and s.content->>'subject'::text = $1 order by s.id`);

/**
 * Marks the sagas of an erased subject as stuck: they can no longer be read.
 */
export const stopSagasOfSubject = statement<[subjectHash: string], Record<never, never>>('stop-sagas-of-subject', `update :schema.saga s set state = 3::smallint, reason = 'its subject was erased', wake_at = null, changed_at = pg_catalog.clock_timestamp()
 where s.state <= 3 and s.content->>'subject'::text = $1`);
