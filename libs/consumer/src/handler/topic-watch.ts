import { BackgroundService, Bell, type Clock, IdlePace, type Logger, type PassResult } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import type { Subscription } from './subscription.js';
import type { TopicPatterns } from './topic-pattern.js';

/** Longest time until a new topic is noticed, in milliseconds. */
const LOOK_MS = 1_000;
/** The same while new topics are announced. */
const LOOK_ANNOUNCED_MS = 10_000;

/** What a {@link TopicWatch} works with. */
export interface TopicWatchDependencies {
  readonly group: string;
  readonly patterns: TopicPatterns;
  /** The subscriptions by topic; those to matching topics are added. */
  readonly byTopic: Map<string, Subscription>;
  readonly log: Pick<LogEngine, 'signals' | 'topics'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Subscribes to the topics that match patterns: existing ones at start, and later ones when they are created. */
export class TopicWatch {
  readonly #service: BackgroundService;
  readonly #bell = new Bell();
  #unsubscribe: (() => void) | undefined;
  /** The number of topics at the last check. */
  #seen = 0;

  constructor(private readonly dependencies: TopicWatchDependencies) {
    const { group, clock, logger, log } = dependencies;
    const isAnnounced = (): boolean => log.signals.listening;
    const pace = { busyMs: LOOK_MS, quietMs: LOOK_ANNOUNCED_MS, isAnnounced, clock };
    this.#service = new BackgroundService({
      name: `the topic watch of group ${group}`,
      runOnce: () => this.#look(),
      idleMinMs: LOOK_MS,
      idleMaxMs: new IdlePace(pace),
      bell: this.#bell,
      clock,
      logger,
    });
  }

  /** Subscribes to existing topics, and starts watching for new ones. */
  async start(): Promise<void> {
    if (this.dependencies.patterns.isEmpty) return;
    this.#unsubscribe = this.dependencies.log.signals.subscribe('topics', this.#bell);
    await this.#look();
    this.#service.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#service.stop();
  }

  async #look(): Promise<PassResult> {
    const { patterns, byTopic, logger, group } = this.dependencies;
    const { topics, signals } = this.dependencies.log;
    const count = await topics.count();
    if (count === this.#seen) return 'idle';
    const found: string[] = [];
    for (const { name } of await topics.list()) {
      const match = byTopic.has(name) ? undefined : patterns.find(name);
      if (match === undefined) continue;
      byTopic.set(name, match.subscribe(name));
      found.push(`${name} by ${match.pattern}`);
    }
    // Counted before the listing: a topic created in between is found by the next check.
    this.#seen = count;
    if (found.length === 0) return 'idle';
    logger.info(`subscribed to ${found.join(', ')}`, { group });
    // This triggers the next heartbeat, which reports the topics of this member.
    signals.send('group');
    return 'idle';
  }
}
