import type { Clock } from '@waybill/kernel';

/**
 * The database's clock as this process knows it: the last reading, plus the monotonic time since. It lags behind
 * the real one by at most the latency of a response, and does not depend on this machine's wall clock.
 */
export class DatabaseTime {
  #offset: number | undefined;

  constructor(private readonly clock: Clock) {}

  /** Takes a new reading of the database's clock, in milliseconds since the epoch. */
  observe(nowMs: number): void {
    this.#offset = nowMs - this.clock.monotonic();
  }

  /** Milliseconds since the epoch; undefined before the first reading. */
  now(): number | undefined {
    return this.#offset === undefined ? undefined : this.clock.monotonic() + this.#offset;
  }
}
