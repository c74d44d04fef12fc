import {
  Consumer,
  type ConsumerDependencies,
  type ConsumerOptions,
  type ConsumerStatus,
} from '@waybill/consumer';
import type { Tracing } from '../tracing/tracing.js';

/** What a consumer of an instance works with. */
export interface InstanceConsumerDependencies extends Omit<ConsumerDependencies, 'onAttemptOutcome'> {
  readonly options: ConsumerOptions;
  readonly tracing: Tracing;
}

/**
 * The consumers of an instance: one for its handlers and one for the events that its sagas follow, each in its own
 * group.
 */
export class InstanceConsumers {
  readonly #consumers: Consumer[] = [];

  /** Starts a consumer of another group. @throws ConfigurationError */
  async start({
    options,
    tracing,
    patterns = [],
    ...dependencies
  }: InstanceConsumerDependencies): Promise<void> {
    const consumer = new Consumer(
      {
        ...dependencies,
        subscriptions: dependencies.subscriptions.map(tracing.subscription),
        patterns: patterns.map(tracing.pattern),
        onAttemptOutcome: tracing.settled,
      },
      options,
    );
    this.#consumers.push(consumer);
    await consumer.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop()));
  }

  /** Their combined status; undefined if there is none. */
  get status(): ConsumerStatus | undefined {
    const [first, ...others] = this.#consumers.map(({ status }) => status);
    return first && others.reduce(together, first);
  }
}

function together(one: ConsumerStatus, other: ConsumerStatus): ConsumerStatus {
  const ages = [one.lastReadAgeMs, other.lastReadAgeMs].filter((age) => age !== undefined);
  const sum = (name: Exclude<keyof ConsumerStatus['counts'], 'failedAttempts'>): number =>
    one.counts[name] + other.counts[name];
  return {
    running: one.running && other.running,
    partitions: one.partitions + other.partitions,
    failures: [...one.failures, ...other.failures],
    leaseLapsed: one.leaseLapsed || other.leaseLapsed,
    lastReadAgeMs: ages.length === 0 ? undefined : Math.max(...ages),
    parked: one.parked + other.parked,
    counts: {
      done: sum('done'),
      failedAttempts: one.counts.failedAttempts.map(
        (count, attempt) => count + (other.counts.failedAttempts[attempt] ?? 0),
      ),
      deadLetters: sum('deadLetters'),
      dropped: sum('dropped'),
      expired: sum('expired'),
      parked: sum('parked'),
    },
    circuits: { ...one.circuits, ...other.circuits },
  };
}
