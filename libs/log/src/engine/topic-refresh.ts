import { BackgroundService, Bell, type Clock, IdlePace, type Logger, systemClock } from '@waybill/kernel';
import { guardLogger, isRightMissing } from '@waybill/kernel/internal';
import type { LogSignals } from './log-signals.js';
import type { Topics } from './topics.js';

/** Interval between two looks at the number of topics, in milliseconds. */
const LOOK_MS = 1_000;
/** The same while new topics are announced. */
const LOOK_ANNOUNCED_MS = 10_000;
/** Settings that others have changed are read at least this often, in milliseconds. */
const SETTINGS_MS = 60_000;

/**
 * Reads the topics again when others have created some, so that the service's copy has them before anyone of the service
 * publishes there.
 */
export class TopicRefresh {
  readonly #service: BackgroundService;
  readonly #bell = new Bell();
  #unsubscribe: (() => void) | undefined;
  #count = -1;
  #readAt = -Infinity;

  constructor(
    private readonly topics: Topics,
    private readonly signals: LogSignals,
    { clock = systemClock, logger }: { readonly clock?: Clock; readonly logger?: Logger } = {},
  ) {
    const isAnnounced = (): boolean => signals.listening;
    const pace = { busyMs: LOOK_MS, quietMs: LOOK_ANNOUNCED_MS, isAnnounced, clock };
    this.#service = new BackgroundService({
      name: 'the copy of the topics',
      runOnce: () => this.#look(clock.monotonic()),
      idleMinMs: LOOK_MS,
      idleMaxMs: new IdlePace(pace),
      bell: this.#bell,
      clock,
      logger: guardLogger(logger),
    });
  }

  start(): void {
    this.#unsubscribe = this.signals.subscribe('topics', this.#bell);
    this.#service.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#service.stop();
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
