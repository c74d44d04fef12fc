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
import { skipWhenLocked } from '@waybill/kernel/internal';
import { OUTBOX_SLOTS } from '../publish/current-slot.js';
import { emptySlot, recycleIntents } from '../statements.generated.js';

const SPECS = {
  /** The minimum time that moved messages stay in the outbox, in milliseconds. */
  retentionMs: wholeNumber({ default: 600_000, min: 0, max: 24 * 3_600_000 }),
  /** Interval between checks for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 30_000, min: 10, max: 24 * 3_600_000 }),
};

/** Options of an {@link OutboxRetention}. */
export type OutboxRetentionOptions = Given<typeof SPECS>;

/** Empties the slots of the outbox's ring whose messages have all been moved and are past retention. */
export class OutboxRetention extends Retention {
  readonly #retentionMs: number;

  constructor(
    private readonly database: PgDatabase,
    options: OutboxRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { retentionMs, intervalMs } = resolveOptions("outbox's retention", SPECS, options);
    super('the outbox', intervalMs, logger);
    this.#retentionMs = retentionMs;
  }

  /** One pass over the ring. A slot in use is left for the next pass. */
  async runOnce(): Promise<PassResult> {
    const session = this.database.session;
    await skipWhenLocked(() => session.run(recycleIntents));
    await this.eachSlot(OUTBOX_SLOTS, (slot) => session.run(emptySlot, slot, this.#retentionMs));
    return 'idle';
  }
}
