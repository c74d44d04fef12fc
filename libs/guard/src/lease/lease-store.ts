/** What a claim came to. */
export type LeaseClaim =
  /** The caller is to run it now. `fence` grows with each claim of a name. */
  | { readonly state: 'claimed'; readonly fence: string }
  /** Another is at it; its lease ends after `retryAfterMs`, unless it is extended. */
  | { readonly state: 'in-progress'; readonly retryAfterMs: number }
  | { readonly state: 'done'; readonly result: string | null; readonly fingerprint: string | null };

/** Where a LeaseGuard keeps who is at what, and what is done. Names are texts of up to 600 characters; all times are milliseconds. */
export interface LeaseStore {
  /** Claims a name, unless another's lease on it lasts or it is done. @param fingerprint kept with it */
  claim(name: string, fingerprint: string | null, leaseMs: number): Promise<LeaseClaim>;
  /** Extends a lease to `leaseMs` from now. @returns false when another has claimed the name since */
  renew(name: string, fence: string, leaseMs: number): Promise<boolean>;
  /**
   * Marks the name as done, for `windowMs`; twice by the same holder is once.
   * @param fingerprint that of the claim, for stores that seal it with the mark
   * @returns false when another has claimed the name since
   */
  finish(
    name: string,
    fence: string,
    result: string | null,
    windowMs: number,
    fingerprint?: string | null,
  ): Promise<boolean>;
  /** Gives a claim back: the next may claim at once. Does nothing when another has claimed since, or it is done. */
  release(name: string, fence: string): Promise<void>;
}
