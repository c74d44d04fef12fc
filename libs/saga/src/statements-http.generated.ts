// Made by scripts/build-sql.mjs from ../sql/http; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Claims due HTTP calls, up to a limit per host; see the function. The commit is flushed to disk.
 * Locks: the calls
 * Index: saga_call_due
 */
export const claimSagaCalls = statement<[replyTopic: string, definitions: readonly (string | null)[], hosts: readonly (string | null)[], places: readonly (number | null)[], most: number, timeoutMs: number, marginMs: number], { sagaId: string; branch: string; op: string; step: string; attempt: number; round: number; definition: string; payload: string; tries: number; begun: boolean; isEmpty: boolean; token: string; leaseMs: number }>('claim-saga-calls', `select c.saga_id as "sagaId", c.branch, c.op, c.step, c.attempt, c.round, c.definition, c.payload, c.tries, c.begun,
       c.is_empty as "isEmpty", c.token, c.lease_ms as "leaseMs"
  from :schema.saga_calls_claim($1::text, $2::text[], $3::text[], $4::integer[], $5::integer, $6::integer,
                                $7::integer) c`);

/**
 * Ends a try of an HTTP call; see the function. No row if it is no longer the newest try.
 * Locks: the call
 * Index: saga_call_pkey
 */
export const endSagaCallTry = statement<[sagaId: string, branch: string, op: string, token: string, attempt: number, outcome: string, retryMs: number, begun: boolean, rejected: boolean, tries: number, why: string | null], { attempt: number }>('end-saga-call-try', `select e.attempt
  from :schema.saga_call_end_try($1::uuid, $2::text, $3::text, $4::uuid, $5::integer, $6::text, $7::bigint, $8::boolean,
                                 $9::boolean, $10::integer, $11::text) e (attempt)`);
