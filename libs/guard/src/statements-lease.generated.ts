// Made by scripts/build-sql.mjs from ../sql/lease; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores a new key for a service's leases.
 * Locks: none but the new row
 */
export const addGuardKey = statement<[service: string, secret: Buffer], { id: number }>('add-guard-key', `insert into :schema.guard_mac_key (service, secret) values ($1::text, $2::bytea) returning id`);

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
 * Marks a name as done with its result, unless another process has claimed it since.
 * Locks: the name, until the statement ends
 * Index: guard_outcome_name, guard_lease_pkey
 */
export const finishLease = statement<[name: string, fence: string, result: string | null, windowMs: number], { finished: boolean }>('finish-lease', `select :schema.lease_finish($1, $2::text::bigint, $3, $4) as finished`);

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
 * Extends a lease; false if another process has claimed its name since.
 * Index: guard_lease_pkey
 */
export const renewLease = statement<[name: string, fence: string, leaseMs: number], { renewed: boolean }>('renew-lease', `select :schema.lease_renew($1, $2::text::bigint, $3) as renewed`);
