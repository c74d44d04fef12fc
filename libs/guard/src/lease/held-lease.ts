import type { Clock } from '@waybill/kernel';
import type { LeaseStore } from './lease-store.js';

/** A lease that is extended at a third of its time until it is stopped, lost or over. */
export class HeldLease {
  readonly #abort = new AbortController();
  readonly #stopped = new AbortController();
  readonly #renewing: Promise<void>;
  #until: number;

  /** @param claimedAt the monotonic time before the claim was asked for: the lease began after it */
  constructor(
    private readonly store: LeaseStore,
    private readonly name: string,
    private readonly fingerprint: string | null,
    readonly fence: string,
    private readonly leaseMs: number,
    claimedAt: number,
    private readonly clock: Clock,
  ) {
    this.#until = claimedAt + leaseMs;
    this.#renewing = this.#renew();
  }

  /** Aborts when the lease is lost, or over because it could not be extended. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** How long it lasts at least, in milliseconds. */
  get remainingMs(): number {
    return this.#until - this.clock.monotonic();
  }

  /**
   * Marks the work as done. A lease that is over but that nobody has claimed since is as good.
   * @returns false when another has claimed since
   */
  finish(result: string | null, windowMs: number): Promise<boolean> {
    return this.store.finish(this.name, this.fence, result, windowMs, this.fingerprint);
  }

  /** Extends it no more. */
  stop(): void {
    this.#stopped.abort();
  }

  /** Gives it back. */
  async release(): Promise<void> {
    this.stop();
    // A renewal under way must not come behind the release.
    await this.#renewing;
    await this.store.release(this.name, this.fence);
  }

  async #renew(): Promise<void> {
    const pause = this.leaseMs / 3;
    while (!this.#stopped.signal.aborted) {
      await this.clock.sleep(Math.min(pause, Math.max(1, this.remainingMs)), this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
      const askedAt = this.clock.monotonic();
      const renewed = await this.#ask();
      if (renewed === true) this.#until = askedAt + this.leaseMs;
      if (renewed === false || this.remainingMs <= 0) {
        this.#abort.abort(new Error(`the lease on ${this.name} is lost`));
        return;
      }
    }
  }

  /** Whether it was extended; undefined when the store could not be asked before the lease was over. */
  async #ask(): Promise<boolean | undefined> {
    const over = new AbortController();
    const renewing = this.store.renew(this.name, this.fence, this.leaseMs).catch(() => undefined);
    const limit = this.clock.sleep(this.remainingMs, over.signal).then(() => undefined);
    return Promise.race([renewing, limit]).finally(() => over.abort());
  }
}
