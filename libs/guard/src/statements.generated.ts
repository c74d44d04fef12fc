// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Keeps a new key of a service's leases.
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
 * Ends an operation that goes on, or looks whether it still does (newReason null), and says what it was before.
 * Locks: its row, until the transaction ends; waits at most so many milliseconds
 * Index: barrier_pkey
 */
export const barrierEnd = statement<[gid: string, branch: string, op: string, begunMs: number, newReason: string | null, waitMs: number], { reason: string | null }>('barrier-end', `select :schema.barrier_end($1, $2, $3, $4::bigint, $5::text, $6::integer) as reason`);

/**
 * Keeps what an operation has come to, for its duplicates.
 * Locks: the new row, until the transaction ends
 */
export const barrierKeep = statement<[gid: string, branch: string, op: string, result: string, begunMs: number], Record<never, never>>('barrier-keep', `select from :schema.barrier_keep($1, $2, $3, $4, $5::bigint)`);

/**
 * Notes that an operation which has passed in this transaction goes on behind it; reason: ongoing, or ongoing-effect.
 * Locks: its row
 * Index: barrier_pkey
 */
export const barrierOngoing = statement<[gid: string, branch: string, op: string, begunMs: number, reason: string], Record<never, never>>('barrier-ongoing', `select from :schema.barrier_ongoing($1, $2, $3, $4::bigint, $5)`);

/**
 * Takes the rejection of an operation back.
 * Locks: its row
 * Index: barrier_pkey
 */
export const barrierPardon = statement<[gid: string, branch: string, op: string, begunMs: number], Record<never, never>>('barrier-pardon', `select from :schema.barrier_pardon($1, $2, $3, $4::bigint)`);

/**
 * Passes the barrier, as the first write of a transaction; a transaction that is just here is waited for.
 * Locks: the new row, until the transaction ends
 */
export const barrierPass = statement<[gid: string, branch: string, op: string], { passed: boolean }>('barrier-pass', `select :schema.barrier_pass($1, $2, $3) as passed`);

/**
 * Notes that an operation was rejected, after its own row was rolled back; where what takes it back was here in between,
 * that stays.
 * Locks: the new row, until the transaction ends
 * Index: barrier_pkey
 */
export const barrierReject = statement<[gid: string, branch: string, op: string, retentionMs: number, begunMs: number], Record<never, never>>('barrier-reject', `select from :schema.barrier_reject($1, $2, $3, $4, $5::bigint)`);

/**
 * Sets a tombstone unless the operation has passed, and says whose row it is. A transaction that is just here is waited
 * for, at most so many milliseconds.
 * Locks: the new row
 */
export const barrierTombstone = statement<[gid: string, branch: string, op: string, reason: string, waitMs: number], { reason: string }>('barrier-tombstone', `select :schema.barrier_tombstone($1, $2, $3, $4, $5) as reason`);

/**
 * Begins with an external effect, or with taking it back; says what is to be done. again: also after a refusal.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const beginEffect = statement<[key: string, leaseMs: number, undoing: boolean, fingerprint: string | null, again: boolean], { state: string; fence: string | null; retryMs: number | null; outcome: string | null; refusals: number }>('begin-effect', `select b.state, b.fence::text as fence, b.retry_ms as "retryMs", b.outcome, b.refusals
  from :schema.effect_begin($1, $2, $3, $4::text, $5::boolean) b`);

/**
 * Claims a name, for work outside of transactions.
 * Locks: the name, until the statement ends
 * Index: guard_outcome_name, guard_lease_pkey
 */
export const claimLease = statement<[name: string, fingerprint: string | null, leaseMs: number], { state: string; fence: string | null; retryMs: number | null; result: string | null; fingerprint: string | null }>('claim-lease', `select c.state, c.fence::text as fence, c.retry_ms as "retryMs", c.result, c.fingerprint
  from :schema.lease_claim($1, $2, $3) c`);

/**
 * The newest key of a service's leases that is not older than maxAgeMs.
 * isCommitted: it is not of this very transaction, as far as its time tells.
 * Index: guard_mac_key_service
 */
export const currentGuardKey = statement<[service: string, maxAgeMs: number], { id: number; secret: Buffer; isCommitted: boolean }>('current-guard-key', `select k.id, k.secret, k.created_at < pg_catalog.transaction_timestamp() as "isCommitted"
  from :schema.guard_mac_key k
 where k.service = $1::text
   and k.created_at > pg_catalog.clock_timestamp() - $2::bigint::double precision * interval '1 millisecond'
 order by k.id desc
 limit 1`);

/**
 * Decides about an external effect, and says what it was before; see the function.
 * Locks: the key, until the statement ends
 */
export const decideEffect = statement<[key: string, decision: string, outcome: string | null, statedBy: string, reason: string | null], { state: string | null }>('decide-effect', `select :schema.decide_effect($1, $2, $3::text, $4, $5::text) as state`);

/**
 * Empties a slot of the barrier whose operations are all older than it remembers.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyBarrierSlot = statement<[slot: number], { emptied: boolean }>('empty-barrier-slot', `select :schema.barrier_empty_slot($1) as emptied`);

/**
 * Empties a slot of the external effects that are all older than the retention; undecided ones are carried forward.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyEffectSlot = statement<[slot: number, retentionMs: number], { emptied: boolean }>('empty-effect-slot', `select :schema.effect_empty_slot($1, $2) as emptied`);

/**
 * Empties a slot of what leases have brought about, when all of it may be forgotten.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyGuardSlot = statement<[slot: number], { emptied: boolean }>('empty-guard-slot', `select :schema.guard_empty_slot($1) as emptied`);

/**
 * Empties a slot of the inbox's ring, when every bucket in it has left the log.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyInboxSlot = statement<[slot: number, oldestBucketSeq: number], { emptied: boolean }>('empty-inbox-slot', `select :schema.inbox_empty_slot($1, $2) as emptied`);

/**
 * Empties a slot of the message-id guard's ring, when every row in it is past its time.
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyMessageSlot = statement<[slot: number], { emptied: boolean }>('empty-message-slot', `select :schema.message_empty_slot($1) as emptied`);

/**
 * Keeps what is known of an external effect, and says what counts.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const endEffect = statement<[key: string, fence: string, state: string, outcome: string | null], { state: string; outcome: string | null }>('end-effect', `select s.state, s.outcome from :schema.effect_settle($1, $2::text::bigint, $3, $4) s`);

/**
 * Comes to a message's id before its work, and says whether the work is still to be done; outcome: new, duplicate, busy,
 * outside. Raises WB009 unless the transaction is READ COMMITTED.
 * Locks: the id, until the transaction ends; waits at most so many milliseconds
 * Index: idempotent_message_id
 */
export const enterMessage = statement<[consumer: string, messageId: string, judgedMs: number | null, windowMs: number, slackMs: number, waitMs: number], { outcome: string; result: string | null; nowMs: number }>('enter-message', `select e.outcome, e.result, e.now_ms as "nowMs" from :schema.message_enter($1, $2, $3, $4, $5, $6) e`);

/**
 * Marks a name as done with its result, unless another has claimed it since.
 * Locks: the name, until the statement ends
 * Index: guard_outcome_name, guard_lease_pkey
 */
export const finishLease = statement<[name: string, fence: string, result: string | null, windowMs: number], { finished: boolean }>('finish-lease', `select :schema.lease_finish($1, $2::text::bigint, $3, $4) as finished`);

/**
 * Forgets leases that ended a day ago and that nobody has claimed since: their work was given up.
 * Locks: those leases; those that are locked are left out
 */
export const forgetEndedLeases = statement<[most: number], Record<never, never>>('forget-ended-leases', `select from :schema.lease_forget($1)`);

/**
 * Goes on with an external effect under a new fence and lease, or with a lease of 0 lets others begin. The fence is null
 * when somebody else has begun since, or it is decided.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const goOnWithEffect = statement<[key: string, fence: string, leaseMs: number], { fence: string | null }>('go-on-with-effect', `select :schema.effect_go_on($1, $2::text::bigint, $3)::text as fence`);

/**
 * Takes an entry of the log in; no row comes back when it had been taken in before. A concurrent transaction with the
 * same entry makes this one wait until that has ended.
 * Locks: the new entry, until the transaction ends
 * Index: inbox_entry
 */
export const insertInboxEntry = statement<[slot: number, bucketSeq: number, consumer: string, logIdentity: string, topic: string, partition: number, offset: number], { taken: boolean }>('insert-inbox-entry', `insert into :schema.inbox (slot, bucket_seq, consumer, log_identity, topic, partition_number, log_offset)
values ($1::smallint, $2::bigint, $3::text, $4::text, $5::text, $6::integer, $7::bigint)
on conflict do nothing
returning true as taken`);

/**
 * Keeps the result of a message that the same transaction has entered, for so many milliseconds.
 */
export const keepMessage = statement<[consumer: string, messageId: string, keepMs: number, result: string | null], { kept: boolean }>('keep-message', `select :schema.message_keep($1, $2, $3, $4) as kept`);

/**
 * External effects by key, or one of them.
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
 * Gives a claim back, unless another has claimed its name since.
 * Index: guard_lease_pkey
 */
export const releaseLease = statement<[name: string, fence: string], Record<never, never>>('release-lease', `select from :schema.lease_release($1, $2::text::bigint)`);

/**
 * Removes keys that were followed by another one longer than maxAgeMs ago: no mark that they have signed is remembered.
 * Index: guard_mac_key_service
 */
export const removeGuardKeys = statement<[maxAgeMs: number], Record<never, never>>('remove-guard-keys', `delete from :schema.guard_mac_key k
 where exists (select from :schema.guard_mac_key n
                where n.service = k.service and n.id > k.id
                  and n.created_at < pg_catalog.clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')`);

/**
 * Extends a lease; false when another has claimed its name since.
 * Index: guard_lease_pkey
 */
export const renewLease = statement<[name: string, fence: string, leaseMs: number], { renewed: boolean }>('renew-lease', `select :schema.lease_renew($1, $2::text::bigint, $3) as renewed`);

/**
 * What tells this transaction from every other: the connection's process, and the transaction's id.
 */
export const transactionIdentity = statement<[], { identity: string }>('transaction-identity', `select pg_catalog.pg_backend_pid()::text || '/' || pg_catalog.pg_current_xact_id()::text as identity`);
