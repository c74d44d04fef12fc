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
import { removeClosedDeadLetters, removeOldActions } from './statements.generated.js';

const DAY_MS = 86_400_000;

const SPECS = {
  /** How long a dead letter stays after it was redriven, replaced or discarded, in milliseconds. Open ones stay. */
  closedMs: wholeNumber({ default: 30 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /** How long it is kept what operators did, in milliseconds. */
  actionsMs: wholeNumber({ default: 400 * DAY_MS, min: 0, max: 3_650 * DAY_MS }),
  /** How often it looks, in milliseconds. */
  intervalMs: wholeNumber({ default: 3_600_000, min: 10, max: DAY_MS }),
};

/** Options of a {@link DeadLetterRetention}. */
export type DeadLetterRetentionOptions = Given<typeof SPECS>;

/** Rows that one statement removes at most. */
const STEP = 1_000;

/** Removes closed dead letters and old records of what operators did. An open dead letter is never removed. */
export class DeadLetterRetention extends Retention {
  readonly #options: Resolved<typeof SPECS>;

  /** @throws ConfigurationError */
  constructor(
    private readonly bus: PgDatabase,
    options: DeadLetterRetentionOptions = {},
    logger: Logger = silentLogger,
  ) {
    const resolved = resolveOptions("dead letters' retention", SPECS, options);
    super('dead letters', resolved.intervalMs, logger);
    this.#options = resolved;
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
    return Math.max(letters?.removed ?? 0, actions?.removed ?? 0) === STEP ? 'again' : 'idle';
  }
}
