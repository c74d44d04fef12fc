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
import { emptyHalfSlot } from './statements.generated.js';

const DAY_MS = 86_400_000;
/** Number of slots in the ring of decided half messages, as in the migration. */
const SLOTS = 9;

const SPECS = {
  /** Minimum time that a decided half message is kept, in milliseconds. Open ones are kept. */
  decidedMs: wholeNumber({ default: 7 * DAY_MS, min: 0, max: 7 * DAY_MS }),
  /** Poll interval for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link HalfMessageRetention}. */
export type HalfMessageRetentionOptions = Given<typeof SPECS>;

/** Empties slots of decided half messages that are past their retention. An open half message is never removed. */
export class HalfMessageRetention extends Retention {
  readonly #decidedMs: number;

  /** @throws ConfigurationError */
  constructor(
    private readonly database: PgDatabase,
    options: HalfMessageRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { decidedMs, intervalMs } = resolveOptions("half messages' retention", SPECS, options);
    super('half messages', intervalMs, logger);
    this.#decidedMs = decidedMs;
  }

  /** One pass over the ring. A slot in use is left for the next pass. */
  async runOnce(): Promise<PassResult> {
    await this.eachSlot(SLOTS, (slot) => this.database.session.run(emptyHalfSlot, slot, this.#decidedMs));
    return 'idle';
  }
}
