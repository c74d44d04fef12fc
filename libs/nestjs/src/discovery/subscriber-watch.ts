import {
  BackgroundService,
  describeError,
  type Logger,
  type PassResult,
  type SqlSession,
} from '@waybill/kernel';
import { unsubscribedTopics } from '@waybill/log/postgres/internal';

/** How old a message must be before a missing group is reported: services start at different times. */
const AGE_MS = 5_000;
const FIRST_LOOK_MS = 2_000;
const LAST_LOOK_MS = 300_000;
/** Maximum number of topics that one check reports. */
const AT_A_TIME = 20;

/**
 * Reports once per topic that it holds messages which no group reads. The interval between checks grows to 5 minutes.
 */
export class SubscriberWatch {
  readonly #service: BackgroundService;
  readonly #told = new Set<string>();

  /** @param session of the log's database */
  constructor(
    private readonly session: SqlSession,
    private readonly logger: Logger,
  ) {
    this.#service = new BackgroundService({
      name: 'the watch for topics without a group',
      runOnce: () => this.runOnce(),
      idleMinMs: FIRST_LOOK_MS,
      idleMaxMs: LAST_LOOK_MS,
    });
  }

  start(): void {
    this.#service.start();
  }

  async stop(): Promise<void> {
    await this.#service.stop();
  }

  /** One check. Without the privileges for it, it reports nothing: the watch is only a help. */
  async runOnce(): Promise<PassResult> {
    try {
      const found = await this.session.run(unsubscribedTopics, AGE_MS, this.#told.size + AT_A_TIME);
      for (const { topic } of found.filter((one) => !this.#told.has(one.topic))) {
        this.#told.add(topic);
        this.logger.warn(
          `topic ${topic} holds messages, but no consumer group reads it. Has the service that handles it ever run, and is ` +
            'its controller in `controllers`? Its messages are kept until their retention ends.',
        );
      }
    } catch (error) {
      this.logger.debug(`could not look for topics without a group: ${describeError(error)}`);
    }
    return 'idle';
  }
}
