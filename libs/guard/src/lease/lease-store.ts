/** The result of a claim. */
export type LeaseClaim =
  /** The caller must run it now. `fence` grows with each claim of a name. */
  | { readonly state: 'claimed'; readonly fence: string }
  /** Another is at it; its lease ends after `retryAfterMs`, unless it is extended. */
  | { readonly state: 'in-progress'; readonly retryAfterMs: number }
  | { readonly state: 'done'; readonly result: string | null; readonly fingerprint: string | null };

/**
 * Stores the claims and completed work of a LeaseGuard. Names have up to 600 characters; all times are in milliseconds.
 */
export interface LeaseStore {
  /** Claims a name, unless another process has a lease on it or it is done. @param fingerprint stored with it */
  claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim>;
  /** Extends a lease to `leaseMs` from now. @returns false if another process has claimed the name since */
  renew(name: string, fence: string, leaseMs: number): Promise<boolean>;
  /**
   * Marks the name as done, for `windowMs`; a second call by the same holder does nothing.
   * @param fingerprint that of the claim, for stores that seal it with the mark
   * @returns false if another process has claimed the name since
   */
  finish(
    name: string,
    fence: string,
    result: string | null,
    windowMs: number,
    fingerprint?: string | null,
  ): Promise<boolean>;
  /**
   * Releases a claim: the next may claim immediately. Does nothing if another process has claimed since, or it is done.
   */
  release(name: string, fence: string): Promise<void>;
}
