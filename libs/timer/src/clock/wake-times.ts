import type { Clock } from '@waybill/kernel';
import type { DatabaseTime } from './database-time.js';

/** Wakes this process at given times by the database's clock, to the millisecond. For the near future only. */
export class WakeTimes {
  readonly #times = new Set<number>();
  #sleep: { readonly untilMs: number; readonly abort: AbortController } | undefined;

  constructor(
    private readonly time: DatabaseTime,
    private readonly clock: Clock,
    private readonly ring: () => void,
  ) {}

  add(dueMs: number): void {
    this.#times.add(dueMs);
    if (this.#sleep === undefined || dueMs < this.#sleep.untilMs) this.#setAlarm();
  }

  clear(): void {
    this.#times.clear();
    this.#sleep?.abort.abort();
    this.#sleep = undefined;
  }

  #setAlarm(): void {
    this.#sleep?.abort.abort();
    this.#sleep = undefined;
    if (this.#times.size === 0) return;
    const untilMs = Math.min(...this.#times);
    const sleep = { untilMs, abort: new AbortController() };
    this.#sleep = sleep;
    const waitMs = Math.max(0, untilMs - (this.time.now() ?? untilMs));
    void this.clock.sleep(waitMs, sleep.abort.signal).then(() => {
      if (this.#sleep !== sleep) return;
      const now = Math.max(this.time.now() ?? untilMs, untilMs);
      for (const due of this.#times) if (due <= now) this.#times.delete(due);
      this.#sleep = undefined;
      this.ring();
      this.#setAlarm();
    });
  }
}
