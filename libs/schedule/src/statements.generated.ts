// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel';

/**
 * Keeps a message that could not be handled, with what went wrong.
 * Params: groupId integer, partitionId integer, offset bigint, topic text, partition integer, messageId text?,
 *   key text?, headers jsonb, payload bytea?, reason text, errorClass text, errorCode text?, errorMessage text,
 *   errorStack text?, fingerprint text, attempts integer, firstFailedAt timestamptz, lastFailedAt timestamptz
 * Returns: none
 */
export const insertDeadLetter = statement<
  [groupId: number, partitionId: number, offset: number, topic: string, partition: number, messageId: string | null, key: string | null, headers: string, payload: Buffer | null, reason: string, errorClass: string, errorCode: string | null, errorMessage: string, errorStack: string | null, fingerprint: string, attempts: number, firstFailedAt: Date, lastFailedAt: Date],
  Record<never, never>
>('insert-dead-letter', `insert into :schema.dead_letter (group_id, partition_id, log_offset, topic, partition_number, message_id, key, headers,
                                 payload, reason, error_class, error_code, error_message, error_stack, fingerprint,
                                 attempts, first_failed_at, last_failed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
on conflict (group_id, partition_id, log_offset) do nothing`);

/**
 * The dead letters of a group, newest first, without their payloads.
 * Params: groupName text, limit integer
 * Returns: id bigint, topic text, partition integer, offset bigint, messageId text?, key text?, reason text,
 *   errorClass text, errorMessage text, fingerprint text, attempts integer, firstFailedAt timestamptz,
 *   lastFailedAt timestamptz
 */
export const listDeadLetters = statement<
  [groupName: string, limit: number],
  { id: number; topic: string; partition: number; offset: number; messageId: string | null; key: string | null; reason: string; errorClass: string; errorMessage: string; fingerprint: string; attempts: number; firstFailedAt: Date; lastFailedAt: Date }
>('list-dead-letters', `select d.id, d.topic, d.partition_number as partition, d.log_offset as "offset", d.message_id as "messageId", d.key,
       d.reason, d.error_class as "errorClass", d.error_message as "errorMessage", d.fingerprint, d.attempts,
       d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt"
  from :schema.dead_letter d
  join :schema.consumer_group g on g.id = d.group_id
 where g.name = $1
 order by d.id desc
 limit $2`);
