import {
  BackgroundService,
  type Clock,
  type Logger,
  type PassResult,
  type PgDatabase,
} from '@waybill/kernel';
import { skipWhenLocked } from '@waybill/kernel/internal';
import { emptyTimerSlot, probeTimers, promoteTimers } from './statements.generated.js';

/**
 * Shortest and longest interval between sweeps, in milliseconds. In between, they take at most a twentieth of the time.
 * One that took long may have been held up by a stalled server or a stopped process, and must not put off the next one
 * by twenty times that.
 */
const SWEEP_MIN_MS = 5_000;
const SWEEP_MAX_MS = 30_000;
const SWEEP_PAUSES = 20;
/** Interval between checks of far timers and slots, in milliseconds. */
const RING_MS = 30_000;
const PROMOTED_AT_ONCE = 5_000;

/**
 * Maintenance of timers: sweeps for due timers that were missed (their transaction
 * committed late), moves far timers into near slots, and empties past slots.
 */
export class TimerUpkeep {
  readonly service: BackgroundService;
  #sweepAt = -Infinity;
  #ringAt = -Infinity;

  /** @param found called with a timer that is due, or will be before any other */
  constructor(
    private readonly database: PgDatabase,
    private readonly kinds: readonly number[],
    private readonly found: (dueMs: number) => void,
    private readonly clock: Clock,
    logger: Logger,
  ) {
    this.service = new BackgroundService({
      name: 'the timer upkeep',
      runOnce: () => this.runOnce(),
      idleMinMs: 1_000,
      idleMaxMs: 1_000,
      clock,
      logger,
    });
  }

  /** One pass: at most one sweep, and one round over the slots. */
  async runOnce(): Promise<PassResult> {
    const now = this.clock.monotonic();
    if (now >= this.#sweepAt) await this.#sweep();
    if (now < this.#ringAt) return 'idle';
    const moved = await this.#promote();
    await skipWhenLocked(() => this.database.session.run(emptyTimerSlot));
    this.#ringAt = now + RING_MS;
    if (moved < PROMOTED_AT_ONCE) return 'idle';
    this.#ringAt = now;
    return 'again';
  }

  async #sweep(): Promise<void> {
    const started = this.clock.monotonic();
    const [probe] = await this.database.session.run(probeTimers, 0, this.kinds);
    const tookMs = this.clock.monotonic() - started;
    this.#sweepAt = started + Math.min(Math.max(SWEEP_MIN_MS, SWEEP_PAUSES * tookMs), SWEEP_MAX_MS);
    if (probe?.nextMs !== undefined && probe.nextMs !== null && probe.nextMs <= probe.nowMs)
      this.found(probe.nextMs);
  }

  async #promote(): Promise<number> {
    let moved = 0;
    await skipWhenLocked(async () => {
      const [row] = await this.database.session.run(promoteTimers, PROMOTED_AT_ONCE);
      moved = row?.moved ?? 0;
    });
    return moved;
  }
}
