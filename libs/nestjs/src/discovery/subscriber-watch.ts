import {
  BackgroundService,
  describeError,
  type Logger,
  type PassResult,
  type SqlSession,
} from '@waybill/kernel';
import { unsubscribedTopics } from '@waybill/log/internal';

/** How long a message may stand in the log before a group for it is missed: services start at different times. */
const AGE_MS = 5_000;
const FIRST_LOOK_MS = 2_000;
const LAST_LOOK_MS = 300_000;
/** Topics that one look tells of at most. */
const AT_A_TIME = 20;

/** Says once of each topic that it holds messages which no group reads. It looks ever more seldom, up to every 5 minutes. */
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

  /** One look. Where it may not look, it says nothing: it is only a help. */
  async runOnce(): Promise<PassResult> {
    try {
      const found = await this.session.run(unsubscribedTopics, AGE_MS, this.#told.size + AT_A_TIME);
      for (const { topic } of found.filter((one) => !this.#told.has(one.topic))) {
        this.#told.add(topic);
        this.logger.warn(
          `topic ${topic} holds messages, and no consumer group reads it: has the service that handles it ever run, and is ` +
            'its controller in `controllers`? Its messages stay until their retention is over.',
        );
      }
    } catch (error) {
      this.logger.debug(`topics without a group could not be looked for: ${describeError(error)}`);
    }
    return 'idle';
  }
}
