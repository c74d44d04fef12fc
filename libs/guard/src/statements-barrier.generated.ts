// Made by scripts/build-sql.mjs from ../sql/barrier; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Fails the current transaction, so that the barrier's row cannot be committed without the work.
 */
export const barrierAbandon = statement<[], Record<never, never>>('barrier-abandon', `select from :schema.barrier_abandon()`);

/**
 * Passes the barrier with an operation of a distributed transaction, as the first write of its transaction.
 * Locks: the new rows, until the transaction ends
 * Index: barrier_pkey
 */
export const barrierCall = statement<[gid: string, branch: string, op: string, origin: string | null, waitMs: number, retentionMs: number, begunMs: number, originBegunMs: number, originDone: boolean], { outcome: string; result: string | null }>('barrier-call', `select c.outcome, c.result
  from :schema.barrier_call($1, $2, $3, $4::text, $5::integer, $6::bigint, $7::bigint, $8::bigint, $9::boolean) c`);

/**
 * Ends an ongoing operation, or checks whether it is still ongoing (newReason null), and returns its reason before.
 * Locks: its row, until the transaction ends; waits at most waitMs milliseconds
 * Index: barrier_pkey
 */
export const barrierEnd = statement<[gid: string, branch: string, op: string, begunMs: number, newReason: string | null, waitMs: number], { reason: string | null }>('barrier-end', `select :schema.barrier_end($1, $2, $3, $4::bigint, $5::text, $6::integer) as reason`);

/**
 * Stores the result of an operation, for its duplicates.
 * Locks: the new row, until the transaction ends
 */
export const barrierKeep = statement<[gid: string, branch: string, op: string, result: string, begunMs: number], Record<never, never>>('barrier-keep', `select from :schema.barrier_keep($1, $2, $3, $4, $5::bigint)`);

/**
 * Records that an operation which has passed in this transaction continues after it; reason: ongoing, or
 * ongoing-effect.
 * Locks: its row
 * Index: barrier_pkey
 */
export const barrierOngoing = statement<[gid: string, branch: string, op: string, begunMs: number, reason: string], Record<never, never>>('barrier-ongoing', `select from :schema.barrier_ongoing($1, $2, $3, $4::bigint, $5)`);

/**
 * Withdraws the rejection of an operation.
 * Locks: its row
 * Index: barrier_pkey
 */
export const barrierPardon = statement<[gid: string, branch: string, op: string, begunMs: number], Record<never, never>>('barrier-pardon', `select from :schema.barrier_pardon($1, $2, $3, $4::bigint)`);

/**
 * Passes the barrier, as the first write of a transaction; waits for a concurrent transaction.
 * Locks: the new row, until the transaction ends
 */
export const barrierPass = statement<[gid: string, branch: string, op: string], { passed: boolean }>('barrier-pass', `select :schema.barrier_pass($1, $2, $3) as passed`);

/**
 * Records that an operation was rejected, after its own row was rolled back; if the operation that undoes it came in
 * between, its row stays.
 * Locks: the new row, until the transaction ends
 * Index: barrier_pkey
 */
export const barrierReject = statement<[gid: string, branch: string, op: string, retentionMs: number, begunMs: number], Record<never, never>>('barrier-reject', `select from :schema.barrier_reject($1, $2, $3, $4, $5::bigint)`);

/**
 * Sets a tombstone unless the operation has passed, and returns the row's reason. Waits for a concurrent transaction,
 * at most waitMs milliseconds.
 * Locks: the new row
 */
export const barrierTombstone = statement<[gid: string, branch: string, op: string, reason: string, waitMs: number], { reason: string }>('barrier-tombstone', `select :schema.barrier_tombstone($1, $2, $3, $4, $5) as reason`);
