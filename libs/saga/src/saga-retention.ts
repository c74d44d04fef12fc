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
import { archiveOrphans, emptySagaSlot } from './statements.generated.js';

const DAY_MS = 86_400_000;
/** Slots of the rings of ended sagas; the same number as in the migration. */
const SLOTS = 16;

const SPECS = {
  /** How long an ended saga and its timeline are kept at least, in milliseconds. Those under way stay. */
  endedMs: wholeNumber({ default: 30 * DAY_MS, min: 0, max: 50 * DAY_MS }),
  /** How often it looks for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link SagaRetention}. */
export type SagaRetentionOptions = Given<typeof SPECS>;

/** Empties the days of ended sagas that are past their retention, and puts children there that outlived their parents. */
export class SagaRetention extends Retention {
  readonly #endedMs: number;

  /** @throws ConfigurationError */
  constructor(
    private readonly database: PgDatabase,
    options: SagaRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { endedMs, intervalMs } = resolveOptions("sagas' retention", SPECS, options);
    super('sagas', intervalMs, logger);
    this.#endedMs = endedMs;
  }

  /** One pass over the ring. A slot that is in use is left for the next. */
  async runOnce(): Promise<PassResult> {
    await this.database.session.run(archiveOrphans);
    await this.eachSlot(SLOTS, (slot) => this.database.session.run(emptySagaSlot, slot, this.#endedMs));
    return 'idle';
  }
}
