// Made by scripts/build-sql.mjs from ../sql/effect; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Begins an external effect, or undoing it; returns what to do. again: also after a refusal.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const beginEffect = statement<[key: string, leaseMs: number, undoing: boolean, fingerprint: string | null, again: boolean], { state: string; fence: string | null; retryMs: number | null; outcome: string | null; refusals: number }>('begin-effect', `select b.state, b.fence::text as fence, b.retry_ms as "retryMs", b.outcome, b.refusals
  from :schema.effect_begin($1, $2, $3, $4::text, $5::boolean) b`);

/**
 * Decides an external effect, and returns its state before; see the function.
 * Locks: the key, until the statement ends
 */
export const decideEffect = statement<[key: string, decision: string, outcome: string | null, statedBy: string, reason: string | null], { state: string | null }>('decide-effect', `select :schema.decide_effect($1, $2, $3::text, $4, $5::text) as state`);

/**
 * Stores the outcome of an external effect, and returns the one that counts.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const endEffect = statement<[key: string, fence: string, state: string, outcome: string | null], { state: string; outcome: string | null }>('end-effect', `select s.state, s.outcome from :schema.effect_settle($1, $2::text::bigint, $3, $4) s`);

/**
 * Continues an external effect under a new fence and lease, or with a lease of 0 lets others begin. The fence is null
 * if another process has begun since, or it is decided.
 * Locks: the key, until the statement ends
 * Index: external_effect_key, external_effect_outcome_key
 */
export const goOnWithEffect = statement<[key: string, fence: string, leaseMs: number], { fence: string | null }>('go-on-with-effect', `select :schema.effect_go_on($1, $2::text::bigint, $3)::text as fence`);

/**
 * Lists external effects by key, or one of them.
 */
export const listEffects = statement<[key: string | null, states: readonly (string | null)[] | null, olderThanMs: number, after: string | null, most: number], { key: string; state: string; firstAt: Date; lastAt: Date | null; leaseUntil: Date | null; attempts: number; refusals: number; decidedAt: Date | null; outcome: string | null }>('list-effects', `select l.key, l.state, l.first_at as "firstAt", l.last_at as "lastAt", l.lease_until as "leaseUntil", l.attempts,
       l.refusals, l.decided_at as "decidedAt", l.outcome
  from :schema.effect_list($1::text, $2::text[], $3::bigint, $4::text, $5::integer) l`);
