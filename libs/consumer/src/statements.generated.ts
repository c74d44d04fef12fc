// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-progress.generated.js';

/**
 * Notes that parked messages may be started from now on, and reads them. After a crash, that note remains. One that runs
 * alone because of it is charged: crashes counts how often it was started in this way. dueInMs as in list-parked.
 * Index: parked_message_pkey
 */
export const beginParked = statement<[groupId: number, partitionId: number, offsets: readonly (number | null)[], alone: boolean], { offset: number; bucketSeq: number; key: string | null; headers: string; payload: Buffer | null; timestampMs: number; attempts: number; crashes: number; dueInMs: number | null }>('begin-parked', `update :schema.parked_message m
   set in_flight = true, crashes = m.crashes + $4::boolean::integer
 where m.group_id = $1 and m.partition_id = $2 and m.log_offset = any ($3::bigint[])
returning m.log_offset as "offset", m.bucket_seq as "bucketSeq", m.key, m.headers::text as headers, m.payload,
          m.timestamp_ms as "timestampMs", m.attempts, m.crashes,
          case when m.due_at = 'infinity' then null
               else greatest(0, pg_catalog.ceil(coalesce(extract(epoch from m.due_at - pg_catalog.clock_timestamp()), 0) * 1000.0))::bigint
          end as "dueInMs"`);

/**
 * Makes a parked message whose attempt failed wait for the next one. A delay of -1: an operator decides on its dead
 * letter.
 * Index: parked_message_pkey
 */
export const delayParked = statement<[groupId: number, partitionId: number, offset: number, attempts: number, delayMs: number, failingForMs: number], Record<never, never>>('delay-parked', `update :schema.parked_message m
   set attempts = $4, in_flight = false, crashes = 0,
       due_at = case when $5::bigint < 0 then 'infinity'
                     else pg_catalog.clock_timestamp() + $5::bigint::double precision * interval '1 millisecond' end,
       first_failed_at = pg_catalog.clock_timestamp() - $6::bigint::double precision * interval '1 millisecond',
       from_dead_letter = m.from_dead_letter or $5::bigint < 0
 where m.group_id = $1 and m.partition_id = $2 and m.log_offset = $3`);

/**
 * Draws a portion from the group's retry budget; returns the number of retries granted.
 * Locks: the group's row of retry_budget
 */
export const drawRetryBudget = statement<[groupId: number, wanted: number, perSecond: number, burst: number], { granted: number }>('draw-retry-budget', `select :schema.retry_budget_draw($1, $2, $3, $4) as granted`);

/**
 * Parked messages of some partitions, in order of offset, without the messages themselves. dueInMs is null while an
 * operator has to decide, 0 while only its turn is waited for.
 * Index: parked_message_pkey
 */
export const listParked = statement<[groupId: number, partitionIds: readonly (number | null)[]], { partitionId: number; offset: number; key: string | null; attempts: number; dueInMs: number | null; failingForMs: number | null; inFlight: boolean; crashes: number; fromDeadLetter: boolean }>('list-parked', `select m.partition_id as "partitionId", m.log_offset as "offset", m.key, m.attempts,
       case when m.due_at = 'infinity' then null
            else greatest(0, pg_catalog.ceil(coalesce(extract(epoch from m.due_at - pg_catalog.clock_timestamp()), 0) * 1000.0))::bigint
       end as "dueInMs",
       (extract(epoch from pg_catalog.clock_timestamp() - m.first_failed_at) * 1000.0)::bigint as "failingForMs",
       m.in_flight as "inFlight", m.crashes, m.from_dead_letter as "fromDeadLetter"
  from :schema.parked_message m
 where m.group_id = $1 and m.partition_id = any ($2::integer[])
 order by m.partition_id, m.log_offset`);

/**
 * Parked messages of some partitions of a group that operators have redriven or may discard. As list-parked.
 * Index: parked_message_from_dead_letter
 */
export const listRedriven = statement<[groupId: number, partitionIds: readonly (number | null)[]], { partitionId: number; offset: number; key: string | null; dueInMs: number | null }>('list-redriven', `select m.partition_id as "partitionId", m.log_offset as "offset", m.key,
       case when m.due_at = 'infinity' then null
            else greatest(0, pg_catalog.ceil(coalesce(extract(epoch from m.due_at - pg_catalog.clock_timestamp()), 0) * 1000.0))::bigint
       end as "dueInMs"
  from :schema.parked_message m
 where m.group_id = $1 and m.partition_id = any ($2::integer[]) and m.from_dead_letter
 order by m.partition_id, m.log_offset`);

/**
 * Parks messages. A delay of null: until the message is the first of its key; one of -1: until an operator decides on
 * its dead letter.
 */
export const parkMessages = statement<[groupId: number, partitionId: number, offsets: readonly (number | null)[], bucketSeqs: readonly (number | null)[], messageIds: readonly (string | null)[], keys: readonly (string | null)[], headers: readonly (string | null)[], payloads: readonly (Buffer | null)[], timestampsMs: readonly (number | null)[], attempts: readonly (number | null)[], delaysMs: readonly (number | null)[], failingForMs: readonly (number | null)[]], Record<never, never>>('park-messages', `insert into :schema.parked_message (group_id, partition_id, log_offset, bucket_seq, message_id, key, headers, payload,
                                    timestamp_ms, attempts, due_at, first_failed_at, from_dead_letter)
select $1::integer, $2::integer, m.log_offset, m.bucket_seq, m.message_id, m.key, m.headers::jsonb, m.payload,
       m.timestamp_ms, m.attempts,
       case when m.delay_ms < 0 then 'infinity'
            else pg_catalog.clock_timestamp() + m.delay_ms::double precision * interval '1 millisecond' end,
       pg_catalog.clock_timestamp() - m.failing_for_ms::double precision * interval '1 millisecond',
       coalesce(m.delay_ms < 0, false)
  from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bigint[],
              $10::integer[], $11::bigint[], $12::bigint[])
    as m (log_offset, bucket_seq, message_id, key, headers, payload, timestamp_ms, attempts, delay_ms,
          failing_for_ms)`);

/**
 * Parked messages by group and topic, and how long the oldest has waited; counted up to 100,000 in all.
 */
export const parkedBacklogs = statement<[], { groupName: string; topic: string; parked: number; oldestAgeMs: number }>('parked-backlogs', `select g.name as "groupName", t.name as topic, pg_catalog.count(*)::integer as parked,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(m.parked_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select x.group_id, x.partition_id, x.parked_at from :schema.parked_message x limit 100000) m
  join :schema.consumer_group g on g.id = m.group_id
  join :schema.topic_partition p on p.id = m.partition_id
  join :schema.topic t on t.id = p.topic_id
 group by g.name, t.name
 order by g.name, t.name`);

/**
 * Removes a parked message: it has a verdict.
 * Index: parked_message_pkey
 */
export const removeParked = statement<[groupId: number, partitionId: number, offset: number], Record<never, never>>('remove-parked', `delete from :schema.parked_message m where m.group_id = $1 and m.partition_id = $2 and m.log_offset = $3`);

/**
 * Removes, for a partition that comes to rest, the notes that parked messages may have been started.
 */
export const restParked = statement<[groupId: number, partitionId: number], Record<never, never>>('rest-parked', `update :schema.parked_message m
   set in_flight = false
 where m.group_id = $1 and m.partition_id = $2 and m.in_flight`);
