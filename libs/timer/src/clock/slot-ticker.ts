import type { Clock } from '@waybill/kernel';
import type { DatabaseTime } from './database-time.js';

/** Delay after the end, in milliseconds: waits with a resolution of one millisecond are over by then. */
const BEHIND_MS = 2;

/** Ticks shortly after the end of every slot of time, by the database's clock. */
export class SlotTicker {
  #abort: AbortController | undefined;

  /** @param tick called with the slot that has ended */
  constructor(
    private readonly time: DatabaseTime,
    private readonly clock: Clock,
    private readonly slotMs: number,
    private readonly tick: (slot: number) => void,
  ) {}

  start(): void {
    if (this.#abort !== undefined) return;
    this.#abort = new AbortController();
    void this.#run(this.#abort.signal);
  }

  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const now = this.time.now() ?? 0;
      const slot = Math.floor((now - BEHIND_MS) / this.slotMs) + 1;
      await this.clock.sleep(Math.max(1, slot * this.slotMs + BEHIND_MS - now), signal);
      if (signal.aborted) return;
      this.tick(slot);
    }
  }
}
