import {
  type Given,
  type Logger,
  type PassResult,
  type PgDatabase,
  type Resolved,
  resolveOptions,
  Retention,
  silentLogger,
  wholeNumber,
} from '@waybill/kernel';
import {
  discardExpiredDeadLetters,
  removeClosedDeadLetters,
  removeDeadLetters,
  removeOldActions,
} from './statements.generated.js';

const DAY_MS = 86_400_000;

const SPECS = {
  /** How long a dead letter stays after it was redriven, replaced or discarded, in milliseconds. */
  closedMs: wholeNumber({ default: 30 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /**
   * How long an open dead letter stays after its last failure, in milliseconds; then it is discarded and removed, and what
   * waited behind it goes on. Default 0: for ever.
   */
  openMs: wholeNumber({ default: 0, min: 0, max: 3_650 * DAY_MS }),
  /** How long it is kept what operators did, in milliseconds. */
  actionsMs: wholeNumber({ default: 400 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /** How often it looks, in milliseconds. */
  intervalMs: wholeNumber({ default: 3_600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link DeadLetterRetention}. */
export type DeadLetterRetentionOptions = Given<typeof SPECS>;

/** Rows that one statement removes at most. */
const STEP = 1_000;

/** Removes closed dead letters and old records of what operators did; open dead letters only where `openMs` says so. */
export class DeadLetterRetention extends Retention {
  readonly #options: Resolved<typeof SPECS>;
  readonly #logger: Logger;
  #expired = 0;

  /** @throws ConfigurationError */
  constructor(
    private readonly bus: PgDatabase,
    options: DeadLetterRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const resolved = resolveOptions("dead letters' retention", SPECS, options);
    super('dead letters', resolved.intervalMs, logger);
    this.#options = resolved;
    this.#logger = logger;
  }

  /** Open dead letters that this process has removed. */
  get expired(): number {
    return this.#expired;
  }

  /** How long a closed dead letter is kept, in milliseconds. */
  get closedMs(): number {
    return this.#options.closedMs;
  }

  /** One pass, over a bounded number of rows. */
  async runOnce(): Promise<PassResult> {
    const { session } = this.bus;
    const [letters] = await session.run(removeClosedDeadLetters, this.#options.closedMs, STEP);
    const [actions] = await session.run(removeOldActions, this.#options.actionsMs, STEP);
    const expired = await this.#expire();
    return Math.max(letters?.removed ?? 0, actions?.removed ?? 0, expired) === STEP ? 'again' : 'idle';
  }

  /** @returns how many open ones were removed */
  async #expire(): Promise<number> {
    const { openMs } = this.#options;
    if (openMs === 0) return 0;
    const removed = await this.bus.transaction(async (connection) => {
      const rows = await connection.run(discardExpiredDeadLetters, openMs, STEP);
      const ids = rows.map(({ id }) => id);
      if (ids.length > 0) await connection.run(removeDeadLetters, ids);
      return ids.length;
    });
    if (removed > 0) this.#logger.warn(`${removed} open dead letters were removed after ${openMs} ms`);
    this.#expired += removed;
    return removed;
  }
}
