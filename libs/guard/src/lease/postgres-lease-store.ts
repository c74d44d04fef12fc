import { invariant, type SqlSession } from '@waybill/kernel';
import type { LeaseClaim, LeaseStore } from './lease-store.js';
import { claimLease, finishLease, releaseLease, renewLease } from '../statements.generated.js';

/**
 * Leases in PostgreSQL. Claims and marks are on disk before they are reported. A mark is stored in a ring by its expiry
 * time, so that marks are removed with their slot and need not be deleted: there are millions of marks, written at the
 * rate of the messages, and deleting each would write as much again and create work for vacuum. Leases are few at a
 * time, one for each running work.
 */
export class PostgresLeaseStore implements LeaseStore {
  /** @param session outside any transaction: its writes must be visible to others immediately */
  constructor(private readonly session: SqlSession) {}

  async claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim> {
    const [row] = await this.session.run(claimLease, name, fingerprint, leaseMs);
    invariant(row !== undefined, `claiming ${name} returned no row`);
    if (row.state === 'claimed') {
      invariant(row.fence !== null, `the claim of ${name} has no fence`);
      return { state: 'claimed', fence: row.fence };
    }
    if (row.state === 'done') return { state: 'done', result: row.result, fingerprint: row.fingerprint };
    return { state: 'in-progress', retryAfterMs: row.retryMs ?? 0 };
  }

  async renew(name: string, fence: string, leaseMs: number): Promise<boolean> {
    return (await this.session.run(renewLease, name, fence, leaseMs))[0]?.renewed === true;
  }

  async finish(name: string, fence: string, result: string | null, windowMs: number): Promise<boolean> {
    const [row] = await this.session.run(finishLease, name, fence, result, windowMs);
    return row?.finished === true;
  }

  async release(name: string, fence: string): Promise<void> {
    await this.session.run(releaseLease, name, fence);
  }
}
