// Made by scripts/build-sql.mjs from ../sql/quarantine; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Counts the quarantined messages that match. A null matches everything.
 */
export const countQuarantined = statement<[ids: readonly (number | null)[] | null, topic: string | null, code: string | null, role: string | null], { count: number }>('count-quarantined', `select pg_catalog.count(*)::integer as count
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text)`);

/**
 * Removes quarantined messages.
 * Locks: the rows
 */
export const discardQuarantined = statement<[ids: readonly (number | null)[]], { id: number }>('discard-quarantined', `delete from :schema.outbox_quarantine q where q.quarantine_id = any ($1) returning q.quarantine_id as id`);

/**
 * Lists the quarantined messages that match, by id, without payloads. A null matches everything.
 * Index: outbox_quarantine_pkey
 */
export const listQuarantined = statement<[ids: readonly (number | null)[] | null, topic: string | null, code: string | null, role: string | null, after: number, limit: number], { id: number; quarantinedAt: Date; origin: string; code: string; reason: string; role: string; messageId: string; topic: string; partition: number | null; key: string | null; bytes: number; timerAction: number | null; deliverAt: Date | null; timerToken: string | null; publishedAt: Date }>('list-quarantined', `select q.quarantine_id as id, q.quarantined_at as "quarantinedAt", q.origin, q.reason_code as code, q.reason,
       q.published_by as role, q.message_id::text as "messageId", q.topic, q.partition_number as partition, q.key,
       coalesce(pg_catalog.octet_length(q.payload), 0) as bytes, q.timer_action as "timerAction", q.deliver_at as "deliverAt",
       q.timer_token as "timerToken", q.created_at as "publishedAt"
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text)
   and q.quarantine_id > $5
 order by q.quarantine_id
 limit $6`);

/**
 * Counts the quarantined messages by topic and reason, largest first (up to 100,000 in all), and since when.
 */
export const quarantineBacklogs = statement<[most: number], { topic: string; code: string; messages: number; oldestAgeMs: number }>('quarantine-backlogs', `select q.topic, q.reason_code as code, pg_catalog.count(*)::integer as messages,
       (extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(q.quarantined_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.topic, o.reason_code, o.quarantined_at from :schema.outbox_quarantine o limit 100000) q
 group by q.topic, q.reason_code
 order by pg_catalog.count(*) desc, q.topic, q.reason_code
 limit $1`);

/**
 * Headers and payload of one quarantined message.
 * Index: outbox_quarantine_pkey
 */
export const quarantinedContent = statement<[id: number], { headers: string | null; payload: Buffer | null }>('quarantined-content', `select q.headers::text as headers, q.payload from :schema.outbox_quarantine q where q.quarantine_id = $1`);

/**
 * Publishes quarantined messages again.
 * Locks: the rows
 */
export const requeueQuarantined = statement<[ids: readonly (number | null)[]], { id: number }>('requeue-quarantined', `select r.id from :schema.outbox_requeue($1) as r (id)`);
