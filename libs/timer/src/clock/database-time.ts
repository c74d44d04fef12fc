import type { Clock } from '@waybill/kernel';

/**
 * The database's clock as this process knows it: what the database said last, and the monotonic time since. Behind
 * the real one by at most the way of an answer, and independent of the time of day that this machine believes in.
 */
export class DatabaseTime {
  #offset: number | undefined;

  constructor(private readonly clock: Clock) {}

  /** Takes what the database has just said, in milliseconds since the epoch. */
  observe(nowMs: number): void {
    this.#offset = nowMs - this.clock.monotonic();
  }

  /** Milliseconds since the epoch; undefined before the database has been asked. */
  now(): number | undefined {
    return this.#offset === undefined ? undefined : this.clock.monotonic() + this.#offset;
  }
}
