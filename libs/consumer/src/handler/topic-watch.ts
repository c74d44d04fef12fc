import { BackgroundService, type Clock, type Logger, type PassResult } from '@waybill/kernel';
import type { LogSignals, Topics } from '@waybill/log';
import type { Subscription } from './subscription.js';
import type { TopicPatterns } from './topic-pattern.js';

/** Longest time until a topic is noticed that was created meanwhile, in milliseconds. */
const LOOK_MS = 1_000;

/** What a {@link TopicWatch} works with. */
export interface TopicWatchDependencies {
  readonly group: string;
  readonly patterns: TopicPatterns;
  /** The subscriptions by topic; those to topics that match are added. */
  readonly byTopic: Map<string, Subscription>;
  readonly topics: Topics;
  readonly signals: LogSignals;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Subscribes to the topics that match patterns: those there are at start, and those that appear later. */
export class TopicWatch {
  readonly #service: BackgroundService;
  /** How many topics there were at the last look. */
  #seen = 0;

  constructor(private readonly dependencies: TopicWatchDependencies) {
    const { group, clock, logger } = dependencies;
    this.#service = new BackgroundService({
      name: `the watch for topics of group ${group}`,
      runOnce: () => this.#look(),
      idleMinMs: LOOK_MS,
      idleMaxMs: LOOK_MS,
      clock,
      logger,
    });
  }

  /** Subscribes to what is there, and begins to look for what comes. */
  async start(): Promise<void> {
    if (this.dependencies.patterns.isEmpty) return;
    await this.#look();
    this.#service.start();
  }

  async stop(): Promise<void> {
    await this.#service.stop();
  }

  async #look(): Promise<PassResult> {
    const { patterns, byTopic, topics, signals, logger, group } = this.dependencies;
    const count = await topics.count();
    if (count === this.#seen) return 'idle';
    const found: string[] = [];
    for (const { name } of await topics.list()) {
      const match = byTopic.has(name) ? undefined : patterns.find(name);
      if (match === undefined) continue;
      byTopic.set(name, match.subscribe(name));
      found.push(`${name} by ${match.pattern}`);
    }
    // Counted before they were listed: one that came in between is looked for again.
    this.#seen = count;
    if (found.length === 0) return 'idle';
    logger.info(`subscribed to ${found.join(', ')}`, { group });
    // The next heartbeat, which this brings on, says to which topics this member subscribes.
    signals.send('group');
    return 'idle';
  }
}
