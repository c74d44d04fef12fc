import { BackgroundService, type Logger, type PassResult, type PgDatabase } from '@waybill/kernel';
import { guardLogger } from '@waybill/kernel/internal';
import { measureOutbox } from '../statements.generated.js';

/** How often all processes together measure, in milliseconds. */
const INTERVAL_MS = 1_000;

/**
 * Holds what waits in the outbox against the limits of topics, so that messages are refused before the disk is full. It runs in
 * every process that publishes, for the relay may be what does not run; the database sees to it that one measures at a time.
 */
export class OutboxBacklogWatch {
  readonly service: BackgroundService;

  constructor(
    private readonly database: PgDatabase,
    private readonly logger?: Logger,
  ) {
    this.service = new BackgroundService({
      name: "the watch over the outbox's backlog",
      runOnce: () => this.runOnce(),
      idleMinMs: INTERVAL_MS,
      idleMaxMs: INTERVAL_MS,
      logger: guardLogger(logger),
    });
  }

  /** One measurement. */
  async runOnce(intervalMs = INTERVAL_MS): Promise<PassResult> {
    const logger = guardLogger(this.logger);
    for (const { topic, full } of await this.database.session.run(measureOutbox, intervalMs)) {
      if (full === null) logger.info(`messages to topic ${topic} are taken again`);
      else logger.error(`messages to topic ${topic} are refused: ${full}`);
    }
    return 'idle';
  }
}
