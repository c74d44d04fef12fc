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
import {
  archiveOrphans,
  emptySagaSlot,
  removeDefinitions,
  removeIgnoredEvents,
  forgetEndedSagas,
  removeSagaBulks,
  removeSagaKeys,
  removeSagaOrders,
  removeSagaRefusals,
} from '../statements.generated.js';

const DAY_MS = 86_400_000;
/** Slots of the rings of ended sagas; the same number as in the migration. */
const SLOTS = 16;
/** Sagas that one statement removes from a slot that cannot be emptied, and statements per slot in one pass. */
const SAGAS_AT_A_TIME = 1_000;
const STATEMENTS_AT_A_TIME = 100;

const SPECS = {
  /** Minimum time that an ended saga and its timeline are kept, in milliseconds. Active sagas stay. */
  endedMs: wholeNumber({ default: 30 * DAY_MS, min: 0, max: 50 * DAY_MS }),
  /** How long completed orders of operators, refused messages and ignored events are kept, in milliseconds. */
  decidedMs: wholeNumber({ default: 90 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /** How long a rotated key still verifies replies, in milliseconds; longer while sagas need it. */
  oldKeyMs: wholeNumber({ default: 90 * DAY_MS, min: 60_000, max: 3_650 * DAY_MS }),
  /** Interval between two checks for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link SagaRetention}. */
export type SagaRetentionOptions = Given<typeof SPECS>;

/**
 * Empties the days of ended sagas that are past their retention, or removes sagas one by one when a long saga keeps
 * its days from being emptied; moves children there that outlived their parents, and
 * removes orders, refusals and keys that are no longer needed.
 */
export class SagaRetention extends Retention {
  readonly #options;

  /** @throws ConfigurationError */
  constructor(
    private readonly database: PgDatabase,
    options: SagaRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const resolved = resolveOptions("sagas' retention", SPECS, options);
    super('sagas', resolved.intervalMs, logger);
    this.#options = resolved;
  }

  /** One pass over the ring. A slot that is in use is left for the next. */
  async runOnce(): Promise<PassResult> {
    const { session } = this.database;
    const { endedMs, decidedMs, oldKeyMs } = this.#options;
    await session.run(archiveOrphans);
    await this.eachSlot(SLOTS, async (slot) => {
      const [row] = await session.run(emptySagaSlot, slot, endedMs);
      if (row?.emptied !== true) await this.#forget(slot);
    });
    await session.run(removeSagaOrders, decidedMs);
    await session.run(removeSagaBulks, decidedMs);
    await session.run(removeSagaRefusals, decidedMs);
    await session.run(removeIgnoredEvents, decidedMs);
    await session.run(removeDefinitions, decidedMs);
    await session.run(removeSagaKeys, oldKeyMs);
    return 'idle';
  }

  async #forget(slot: number): Promise<void> {
    for (let n = 0; n < STATEMENTS_AT_A_TIME; n += 1) {
      const given = [slot, this.#options.endedMs, SAGAS_AT_A_TIME] as const;
      const [row] = await this.database.session.run(forgetEndedSagas, ...given);
      if ((row?.removed ?? 0) < SAGAS_AT_A_TIME) return;
    }
  }
}
