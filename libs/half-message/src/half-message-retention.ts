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
/** Slots of the ring of decided half messages; the same number as in the migration. */
const SLOTS = 9;

const SPECS = {
  /** How long a decided half message is kept at least, in milliseconds. Open ones stay. */
  decidedMs: wholeNumber({ default: 7 * DAY_MS, min: 0, max: 7 * DAY_MS }),
  /** How often it looks for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link HalfMessageRetention}. */
export type HalfMessageRetentionOptions = Given<typeof SPECS>;

/** Empties the days of decided half messages that are past their retention. An open half message is never removed. */
export class HalfMessageRetention extends Retention {
  readonly #decidedMs: number;

  /** @throws ConfigurationError */
  constructor(
    private readonly bus: PgDatabase,
    options: HalfMessageRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { decidedMs, intervalMs } = resolveOptions("half messages' retention", SPECS, options);
    super('half messages', intervalMs, logger);
    this.#decidedMs = decidedMs;
  }

  /** One pass over the ring. A slot that is in use is left for the next. */
  async runOnce(): Promise<PassResult> {
    await this.eachSlot(SLOTS, (slot) => this.bus.session.run(emptyHalfSlot, slot, this.#decidedMs));
    return 'idle';
  }
}
