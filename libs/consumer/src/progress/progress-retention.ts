import {
  type Given,
  type Logger,
  type PassResult,
  type PgDatabase,
  resolveOptions,
  Retention,
  silentLogger,
  wholeNumber,
} from '@waybill/kernel';
import { recycleConsumerSlot, removeSettledCharges } from '../statements.generated.js';

const SLOTS = 4;

const SPECS = {
  /** Interval between two passes, in milliseconds. */
  intervalMs: wholeNumber({ default: 60_000, min: 10, max: 24 * 3_600_000 }),
};

/** Options of a {@link ProgressRetention}. */
export type ProgressRetentionOptions = Given<typeof SPECS>;

/**
 * Turns the rings of positions and marks in the service's database. Any number of processes may run it; a slot that cannot
 * be locked within 50 ms is left for the next pass.
 */
export class ProgressRetention extends Retention {
  constructor(
    private readonly database: PgDatabase,
    options: ProgressRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { intervalMs } = resolveOptions("progress's retention", SPECS, options);
    super('progress', intervalMs, logger);
  }

  /** One pass over the ring. */
  async runOnce(): Promise<PassResult> {
    const { session } = this.database;
    await this.eachSlot(SLOTS, (slot) => session.run(recycleConsumerSlot, slot));
    await session.run(removeSettledCharges);
    return 'idle';
  }
}
