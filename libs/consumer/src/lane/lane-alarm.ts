import type { Clock } from '@waybill/kernel';

/** Maximum delay of a Node timer, in milliseconds. */
const LONGEST_SLEEP_MS = 2_147_483_647;

/** Wakes a lane when its next message is due. It has one alarm at a time: the earliest. */
export class LaneAlarm {
  #at = Infinity;
  #cancel = new AbortController();

  constructor(
    private readonly clock: Clock,
    private readonly wake: () => void,
    private readonly closing: AbortSignal,
  ) {}

  /** Sets the alarm, by the monotonic clock; for a time in the past, or Infinity, it does nothing. */
  set(at: number): void {
    if (at === this.#at) return;
    this.#cancel.abort();
    this.#cancel = new AbortController();
    const inMs = at - this.clock.monotonic();
    this.#at = at;
    if (at === Infinity || inMs <= 0 || this.closing.aborted) return;
    void this.#ring(Math.min(inMs, LONGEST_SLEEP_MS), AbortSignal.any([this.#cancel.signal, this.closing]));
  }

  async #ring(ms: number, signal: AbortSignal): Promise<void> {
    await this.clock.sleep(ms, signal);
    if (signal.aborted) return;
    this.#at = Infinity;
    this.wake();
  }
}
