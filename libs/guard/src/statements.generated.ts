// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-barrier.generated.js';
export * from './statements-effect.generated.js';
export * from './statements-lease.generated.js';
export * from './statements-message-id.generated.js';

/**
 * Empties a slot of the barrier if all its operations are older than the barrier's retention.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyBarrierSlot = statement<[slot: number], { emptied: boolean }>('empty-barrier-slot', `select :schema.barrier_empty_slot($1) as emptied`);

/**
 * Empties a slot of external effects if all are older than the retention; undecided ones are carried forward.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyEffectSlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-effect-slot', `select :schema.effect_empty_slot($1, $2) as emptied`);

/**
 * Empties a slot of the results of leases, if all have expired.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyGuardSlot = statement<[slot: number], { emptied: boolean }>('empty-guard-slot', `select :schema.guard_empty_slot($1) as emptied`);

/**
 * Empties a slot of the message-id guard's ring, if every row in it has expired.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyMessageSlot = statement<[slot: number], { emptied: boolean }>('empty-message-slot', `select :schema.message_empty_slot($1) as emptied`);

/**
 * Deletes leases that ended a day ago and have not been claimed since: their work was given up.
 * Locks: those leases; locked ones are skipped
 */
export const forgetEndedLeases = statement<[most: number], Record<never, never>>('forget-ended-leases', `select from :schema.lease_forget($1)`);

/**
 * Removes keys that were superseded longer than maxAgeMs ago: all marks signed with them have expired.
 * Index: guard_mac_key_service
 */
export const removeGuardKeys = statement<[maxAgeMs: number], Record<never, never>>('remove-guard-keys', `delete from :schema.guard_mac_key k
 where exists (select from :schema.guard_mac_key n
                where n.service = k.service and n.id > k.id
                  and n.created_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')`);

/**
 * The unique identity of this transaction: the connection's process, and the transaction's id.
 */
export const transactionIdentity = statement<[], { identity: string }>('transaction-identity', `select pg_catalog.pg_backend_pid()::text || '/' || pg_catalog.pg_current_xact_id()::text as identity`);
