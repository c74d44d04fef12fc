import {
  BackgroundService,
  type Bell,
  IdlePace,
  type Logger,
  type PassResult,
  type PgDatabase,
} from '@waybill/kernel';
import { guardLogger, isRightMissing } from '@waybill/kernel/internal';
import { measureOutbox } from '../statements.generated.js';

/** Interval between measurements by all processes together, in milliseconds. */
const INTERVAL_MS = 1_000;
/** The same for a process that has published nothing for a minute. */
const IDLE_INTERVAL_MS = 5_000;

/**
 * Compares the outbox's backlog with the topics' limits, so that messages are refused before the disk is full. It runs
 * in every publishing process, since the relay may not be running; a lock in the database lets one measure at a time.
 */
export class OutboxBacklogWatch {
  readonly service: BackgroundService;

  /** @param bell rung when this process has published */
  constructor(
    private readonly database: PgDatabase,
    bell: Bell,
    private readonly logger?: Logger,
  ) {
    const pace = new IdlePace({ busyMs: INTERVAL_MS, quietMs: IDLE_INTERVAL_MS, isAnnounced: () => true });
    bell.onRing(() => pace.worked());
    this.service = new BackgroundService({
      name: 'the outbox backlog watch',
      runOnce: () => this.runOnce(),
      idleMinMs: INTERVAL_MS,
      idleMaxMs: pace,
      logger: guardLogger(logger),
    });
  }

  /** One measurement. A login that only reads may not measure: processes that publish do. */
  async runOnce(intervalMs = INTERVAL_MS): Promise<PassResult> {
    const logger = guardLogger(this.logger);
    for (const { topic, full } of await this.#measure(intervalMs)) {
      if (full === null) logger.info(`messages to topic ${topic} are accepted again`);
      else logger.error(`messages to topic ${topic} are refused: ${full}`);
    }
    return 'idle';
  }

  async #measure(intervalMs: number): Promise<readonly { topic: string; full: string | null }[]> {
    try {
      return await this.database.session.run(measureOutbox, intervalMs);
    } catch (error) {
      if (!isRightMissing(error)) throw error;
      return [];
    }
  }
}
