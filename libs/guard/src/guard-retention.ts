import {
  type Given,
  type Logger,
  type PassResult,
  resolveOptions,
  Retention,
  silentLogger,
  type SqlSession,
  wholeNumber,
} from '@waybill/kernel';
import {
  emptyBarrierSlot,
  emptyEffectSlot,
  emptyGuardSlot,
  emptyMessageSlot,
  forgetEndedLeases,
  removeGuardKeys,
} from './statements.generated.js';

const DAY_MS = 86_400_000;
/** Slots of each ring; the same number as in the migration. */
const SLOTS = 16;
/** The most leases that one pass deletes. */
const LEASES_AT_A_TIME = 10_000;

/** How long a superseded key of leases is kept: longer than any mark signed with it. */
const OLD_KEYS_MS = 60 * DAY_MS;

const SPECS = {
  /** Minimum retention of an external effect, in milliseconds. Undecided ones stay. */
  effectsMs: wholeNumber({ default: 90 * DAY_MS, min: DAY_MS, max: 90 * DAY_MS }),
  /** Interval between checks for slots to empty, in milliseconds. */
  intervalMs: wholeNumber({ default: 600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link GuardRetention}. */
export type GuardRetentionOptions = Given<typeof SPECS>;

/**
 * Empties the slots of the message-id guard, of the barrier, of completed leases and of external effects, in
 * one database, when all their rows have expired: the barrier's after 90 days, a message and a lease's mark after their
 * own windows.
 */
export class GuardRetention extends Retention {
  readonly #effectsMs: number;

  /**
   * @param session outside any transaction
   * @throws ConfigurationError
   */
  constructor(
    private readonly session: SqlSession,
    options: GuardRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const { effectsMs, intervalMs } = resolveOptions("guards' retention", SPECS, options);
    super('the guards', intervalMs, logger);
    this.#effectsMs = effectsMs;
  }

  /** One pass over the rings. A slot in use is left for the next pass. */
  async runOnce(): Promise<PassResult> {
    await this.#empty('message-id guard', (slot) => this.session.run(emptyMessageSlot, slot));
    await this.#empty('barrier', (slot) => this.session.run(emptyBarrierSlot, slot));
    await this.#empty('lease guard', (slot) => this.session.run(emptyGuardSlot, slot));
    await this.#empty('external effects', (slot) => this.session.run(emptyEffectSlot, slot, this.#effectsMs));
    await this.session.run(forgetEndedLeases, LEASES_AT_A_TIME);
    await this.session.run(removeGuardKeys, OLD_KEYS_MS);
    return 'idle';
  }

  async #empty(ring: string, empty: (slot: number) => Promise<{ emptied: boolean }[]>): Promise<void> {
    await this.eachSlot(SLOTS, async (slot) => {
      const [row] = await empty(slot);
      if (row?.emptied === true) this.logger.info(`a slot of the ${ring} was emptied`, { slot });
    });
  }
}
