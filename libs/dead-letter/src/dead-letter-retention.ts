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
  /** How long a dead letter is kept after it was redriven, replaced or discarded, in milliseconds. */
  closedMs: wholeNumber({ default: 30 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /**
   * How long an open dead letter is kept after its last failure, in milliseconds; then it is discarded and removed, and
   * the messages that waited for it continue. Default 0: forever.
   */
  openMs: wholeNumber({ default: 0, min: 0, max: 3_650 * DAY_MS }),
  /** How long records of operators' actions are kept, in milliseconds. */
  actionsMs: wholeNumber({ default: 400 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /** Interval between two passes, in milliseconds. */
  intervalMs: wholeNumber({ default: 3_600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link DeadLetterRetention}. */
export type DeadLetterRetentionOptions = Given<typeof SPECS>;

/** The most rows that one statement removes. */
const STEP = 1_000;

/** Removes closed dead letters and old records of operators' actions; open dead letters only if `openMs` is set. */
export class DeadLetterRetention extends Retention {
  readonly #options: Resolved<typeof SPECS>;
  readonly #logger: Logger;
  #expired = 0;

  /** @throws ConfigurationError */
  constructor(
    private readonly database: PgDatabase,
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
    const { session } = this.database;
    const [letters] = await session.run(removeClosedDeadLetters, this.#options.closedMs, STEP);
    const [actions] = await session.run(removeOldActions, this.#options.actionsMs, STEP);
    const expired = await this.#expire();
    return Math.max(letters?.removed ?? 0, actions?.removed ?? 0, expired) === STEP ? 'again' : 'idle';
  }

  /** @returns the number of open ones removed */
  async #expire(): Promise<number> {
    const { openMs } = this.#options;
    if (openMs === 0) return 0;
    const removed = await this.database.transaction(async (connection) => {
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
