import { BackgroundService, type Clock, type Logger, systemClock } from '@waybill/kernel';
import { guardLogger, isRightMissing } from '@waybill/kernel/internal';
import type { Topics } from './topics.js';

/** Interval between two looks at the number of topics, in milliseconds. */
const LOOK_MS = 1_000;
/** Settings that others have changed are read at least this often, in milliseconds. */
const SETTINGS_MS = 60_000;

/**
 * Reads the topics again when others have created some, so that the service's copy has them before anyone of the service
 * publishes there.
 */
export class TopicRefresh {
  readonly service: BackgroundService;
  #count = -1;
  #readAt = -Infinity;

  constructor(
    private readonly topics: Topics,
    { clock = systemClock, logger }: { readonly clock?: Clock; readonly logger?: Logger } = {},
  ) {
    this.service = new BackgroundService({
      name: 'the copy of the topics',
      runOnce: () => this.#look(clock.monotonic()),
      idleMinMs: LOOK_MS,
      idleMaxMs: LOOK_MS,
      clock,
      logger: guardLogger(logger),
    });
  }

  /** Reads the topics. A login that only publishes may not: it uses the copy that others of its service keep. */
  async read(): Promise<void> {
    try {
      await this.topics.list();
    } catch (error) {
      if (!isRightMissing(error)) throw error;
    }
  }

  async #look(now: number): Promise<'idle'> {
    const count = await this.topics.count();
    if (count === this.#count && now - this.#readAt < SETTINGS_MS) return 'idle';
    await this.read();
    this.#count = count;
    this.#readAt = now;
    return 'idle';
  }
}
