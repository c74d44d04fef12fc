import { BackgroundService, type PassResult } from './background-service.js';
import type { Logger } from '../logger.js';
import { skipWhenLocked } from './skip-when-locked.js';

/**
 * The base of the loops that look, every so often, for what may be forgotten. Any number of processes may run one: each
 * step is guarded by the database's locks, and what cannot be locked in time is left for the next pass.
 */
export abstract class Retention {
  readonly service: BackgroundService;

  /**
   * @param of what it is the retention of, for log lines
   * @param intervalMs how often it looks, in milliseconds
   */
  constructor(
    of: string,
    intervalMs: number,
    protected readonly logger: Logger,
  ) {
    this.service = new BackgroundService({
      name: `the retention of ${of}`,
      runOnce: () => this.runOnce(),
      idleMinMs: intervalMs,
      idleMaxMs: intervalMs,
      logger,
    });
  }

  /** One pass. */
  abstract runOnce(): Promise<PassResult>;

  /** Lets each slot of a ring be emptied that can be. */
  protected async eachSlot(slots: number, empty: (slot: number) => Promise<unknown>): Promise<void> {
    for (let slot = 0; slot < slots; slot += 1) await skipWhenLocked(() => empty(slot));
  }
}
