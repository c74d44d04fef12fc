import type { Clock } from '@waybill/kernel';
import type { LeaseStore } from './lease-store.js';

/** A lease that is extended after each third of its time until it is stopped, lost or expired. */
export class HeldLease {
  readonly #abort = new AbortController();
  readonly #stopped = new AbortController();
  readonly #renewing: Promise<void>;
  #until: number;

  /** @param claimedAt the monotonic time before the claim was sent: the lease began after it */
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

  /** Aborts when the lease is lost, or has expired because it could not be extended. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The minimum time that it still lasts, in milliseconds. */
  get remainingMs(): number {
    return this.#until - this.clock.monotonic();
  }

  /**
   * Marks the work as done. An expired lease that has not been claimed since is also valid.
   * @returns false if another process has claimed since
   */
  finish(result: string | null, windowMs: number): Promise<boolean> {
    return this.store.finish(this.name, this.fence, result, windowMs, this.fingerprint);
  }

  /** Stops extending it. */
  stop(): void {
    this.#stopped.abort();
  }

  /** Releases it. */
  async release(): Promise<void> {
    this.stop();
    // A renewal in flight must not arrive after the release.
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

  /** Whether it was extended; undefined if the store could not be reached before the lease expired. */
  async #ask(): Promise<boolean | undefined> {
    const over = new AbortController();
    const renewing = this.store.renew(this.name, this.fence, this.leaseMs).catch(() => undefined);
    const limit = this.clock.sleep(this.remainingMs, over.signal).then(() => undefined);
    return Promise.race([renewing, limit]).finally(() => over.abort());
  }
}
