// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores a new key for a service's leases.
 * Locks: none but the new row
 */
export const addGuardKey = statement<[service: string, secret: Buffer], { id: number }>('add-guard-key', `insert into :schema.guard_mac_key (service, secret) values ($1::text, $2::bytea) returning id`);

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

/**
 * Begins an external effect, or undoing it; returns what to do. again: also after a refusal.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const beginEffect = statement<[key: string, leaseMs: number, undoing: boolean, fingerprint: string | null, again: boolean], { state: string; fence: string | null; retryMs: number | null; outcome: string | null; refusals: number }>('begin-effect', `select b.state, b.fence::text as fence, b.retry_ms as "retryMs", b.outcome, b.refusals
  from :schema.effect_begin($1, $2, $3, $4::text, $5::boolean) b`);

/**
 * Claims a name, for work outside transactions.
 * Locks: the name, until the statement ends
 * Index: guard_outcome_name, guard_lease_pkey
 */
export const claimLease = statement<[name: string, fingerprint: string | null, leaseMs: number], { state: string; fence: string | null; retryMs: number | null; result: string | null; fingerprint: string | null }>('claim-lease', `select c.state, c.fence::text as fence, c.retry_ms as "retryMs", c.result, c.fingerprint
  from :schema.lease_claim($1, $2, $3) c`);

/**
 * The newest key of a service's leases that is not older than maxAgeMs.
 * isCommitted: judging by its time, it was not made in this transaction.
 * Index: guard_mac_key_service
 */
export const currentGuardKey = statement<[service: string, maxAgeMs: number], { id: number; secret: Buffer; isCommitted: boolean }>('current-guard-key', `select k.id, k.secret, k.created_at < pg_catalog.transaction_timestamp() as "isCommitted"
  from :schema.guard_mac_key k
 where k.service = $1::text
   and k.created_at > pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1`);

/**
 * Decides an external effect, and returns its state before; see the function.
 * Locks: the key, until the statement ends
 */
export const decideEffect = statement<[key: string, decision: string, outcome: string | null, statedBy: string, reason: string | null], { state: string | null }>('decide-effect', `select :schema.decide_effect($1, $2, $3::text, $4, $5::text) as state`);

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
 * Stores the outcome of an external effect, and returns the one that counts.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const endEffect = statement<[key: string, fence: string, state: string, outcome: string | null], { state: string; outcome: string | null }>('end-effect', `select s.state, s.outcome from :schema.effect_settle($1, $2::text::bigint, $3, $4) s`);

/**
 * Enters a message's id before its work, and returns whether the work must be done; outcome: new, duplicate, busy,
 * outside. Raises WB009 unless the transaction is READ COMMITTED.
 * Locks: the id, until the transaction ends; waits at most waitMs milliseconds
 * Index: idempotent_message_id
 */
export const enterMessage = statement<[consumer: string, messageId: string, judgedMs: number | null, windowMs: number, slackMs: number, waitMs: number], { outcome: string; result: string | null; nowMs: number }>('enter-message', `select e.outcome, e.result, e.now_ms as "nowMs" from :schema.message_enter($1, $2, $3, $4, $5, $6) e`);

/**
 * Marks a name as done with its result, unless another process has claimed it since.
 * Locks: the name, until the statement ends
 * Index: guard_outcome_name, guard_lease_pkey
 */
export const finishLease = statement<[name: string, fence: string, result: string | null, windowMs: number], { finished: boolean }>('finish-lease', `select :schema.lease_finish($1, $2::text::bigint, $3, $4) as finished`);

/**
 * Deletes leases that ended a day ago and have not been claimed since: their work was given up.
 * Locks: those leases; locked ones are skipped
 */
export const forgetEndedLeases = statement<[most: number], Record<never, never>>('forget-ended-leases', `select from :schema.lease_forget($1)`);

/**
 * Continues an external effect under a new fence and lease, or with a lease of 0 lets others begin. The fence is null
 * if another process has begun since, or it is decided.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const goOnWithEffect = statement<[key: string, fence: string, leaseMs: number], { fence: string | null }>('go-on-with-effect', `select :schema.effect_go_on($1, $2::text::bigint, $3)::text as fence`);

/**
 * Stores the result of a message that the same transaction has entered, for keepMs milliseconds.
 */
export const keepMessage = statement<[consumer: string, messageId: string, keepMs: number, result: string | null], { kept: boolean }>('keep-message', `select :schema.message_keep($1, $2, $3, $4) as kept`);

/**
 * Lists external effects by key, or one of them.
 */
export const listEffects = statement<[key: string | null, states: readonly (string | null)[] | null, olderThanMs: number, after: string | null, most: number], { key: string; state: string; firstAt: Date; lastAt: Date | null; leaseUntil: Date | null; attempts: number; refusals: number; decidedAt: Date | null; outcome: string | null }>('list-effects', `select l.key, l.state, l.first_at as "firstAt", l.last_at as "lastAt", l.lease_until as "leaseUntil", l.attempts,
       l.refusals, l.decided_at as "decidedAt", l.outcome
  from :schema.effect_list($1::text, $2::text[], $3::bigint, $4::text, $5::integer) l`);

/**
 * A key of a service's leases by its id.
 * Index: guard_mac_key_pkey
 */
export const readGuardKey = statement<[id: number, service: string], { secret: Buffer }>('read-guard-key', `select k.secret from :schema.guard_mac_key k where k.id = $1::bigint and k.service = $2::text`);

/**
 * Releases a claim, unless another process has claimed its name since.
 * Index: guard_lease_pkey
 */
export const releaseLease = statement<[name: string, fence: string], Record<never, never>>('release-lease', `select from :schema.lease_release($1, $2::text::bigint)`);

/**
 * Removes keys that were superseded longer than maxAgeMs ago: all marks signed with them have expired.
 * Index: guard_mac_key_service
 */
export const removeGuardKeys = statement<[maxAgeMs: number], Record<never, never>>('remove-guard-keys', `delete from :schema.guard_mac_key k
 where exists (select from :schema.guard_mac_key n
                where n.service = k.service and n.id > k.id
                  and n.created_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')`);

/**
 * Extends a lease; false if another process has claimed its name since.
 * Index: guard_lease_pkey
 */
export const renewLease = statement<[name: string, fence: string, leaseMs: number], { renewed: boolean }>('renew-lease', `select :schema.lease_renew($1, $2::text::bigint, $3) as renewed`);

/**
 * The unique identity of this transaction: the connection's process, and the transaction's id.
 */
export const transactionIdentity = statement<[], { identity: string }>('transaction-identity', `select pg_catalog.pg_backend_pid()::text || '/' || pg_catalog.pg_current_xact_id()::text as identity`);
