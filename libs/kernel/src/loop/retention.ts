import { BackgroundService, type PassResult } from './background-service.js';
import type { Logger } from '../logger.js';
import { skipWhenLocked } from './skip-when-locked.js';

/**
 * The base of the loops that periodically delete what has expired. Any number of processes may run one: each
 * step takes a lock in the database, and what cannot be locked in time is left for the next pass.
 */
export abstract class Retention {
  readonly service: BackgroundService;

  /**
   * @param of what it deletes, for log lines
   * @param intervalMs time between two passes, in milliseconds
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

  /** Empties each slot of a ring that can be emptied. */
  protected async eachSlot(slots: number, empty: (slot: number) => Promise<unknown>): Promise<void> {
    for (let slot = 0; slot < slots; slot += 1) await skipWhenLocked(() => empty(slot));
  }
}
