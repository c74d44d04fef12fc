import type { IdlePace } from '@waybill/kernel';
import type { DatabaseTime } from './database-time.js';
import type { TimerClock } from './timer-clock.js';

/** Polls the database: rests until the next timer is due, and never longer than a poll interval. */
export class PostgresClock implements TimerClock {
  readonly name = 'postgres';
  readonly trouble = undefined;
  #ring: () => void = () => {};
  #restUntilMs = Infinity;

  constructor(
    private readonly time: DatabaseTime,
    private readonly pace: IdlePace,
  ) {}

  start(ring: () => void): void {
    this.#ring = ring;
  }

  async stop(): Promise<void> {
    this.#ring = () => {};
  }

  arm(dueMs: readonly number[]): void {
    // Only timers due before the next poll.
    if (dueMs.some((due) => due < this.#restUntilMs)) this.#ring();
  }

  restMs(nextInMs: number | null): number {
    const rest = Math.min(Math.max(nextInMs ?? Infinity, 0), this.pace.restMs);
    this.#restUntilMs = (this.time.now() ?? 0) + rest;
    return rest;
  }
}
