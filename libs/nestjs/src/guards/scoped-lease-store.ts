import { createHash } from 'node:crypto';
import type { LeaseClaim, LeaseStore } from '@waybill/guard';

/** Longer names are hashed, after the group, to fit an index. */
const NAME_MAX = 400;

/** Leases of one instance, in a store that several instances share. */
export class ScopedLeaseStore implements LeaseStore {
  /** @param scope the instance's scope; each instance has a different one */
  constructor(
    private readonly store: LeaseStore,
    private readonly scope: string,
  ) {}

  claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim> {
    return this.store.claim(this.#scoped(name), fingerprint, leaseMs);
  }

  renew(name: string, fence: string, leaseMs: number): Promise<boolean> {
    return this.store.renew(this.#scoped(name), fence, leaseMs);
  }

  finish(
    name: string,
    fence: string,
    result: string | null,
    windowMs: number,
    fingerprint?: string | null,
  ): Promise<boolean> {
    return this.store.finish(this.#scoped(name), fence, result, windowMs, fingerprint);
  }

  release(name: string, fence: string): Promise<void> {
    return this.store.release(this.#scoped(name), fence);
  }

  #scoped(name: string): string {
    const scoped = `${this.scope}/${name}`;
    if (scoped.length <= NAME_MAX) return scoped;
    const [group] = this.scope.split('/');
    return `${group}/sha256:${createHash('sha256').update(scoped).digest('base64url')}`;
  }
}
