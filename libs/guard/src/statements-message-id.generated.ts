// Made by scripts/build-sql.mjs from ../sql/message-id; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Enters a message's id before its work, and returns whether the work must be done; outcome: new, duplicate, busy,
 * outside. Raises WB009 unless the transaction is READ COMMITTED.
 * Locks: the id, until the transaction ends; waits at most waitMs milliseconds
 * Index: idempotent_message_id
 */
export const enterMessage = statement<[consumer: string, messageId: string, judgedMs: number | null, windowMs: number, slackMs: number, waitMs: number], { outcome: string; result: string | null; nowMs: number }>('enter-message', `select e.outcome, e.result, e.now_ms as "nowMs" from :schema.message_enter($1, $2, $3, $4, $5, $6) e`);

/**
 * Stores the result of a message that the same transaction has entered, for keepMs milliseconds.
 */
export const keepMessage = statement<[consumer: string, messageId: string, keepMs: number, result: string | null], { kept: boolean }>('keep-message', `select :schema.message_keep($1, $2, $3, $4) as kept`);
