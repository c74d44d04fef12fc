import {
  type Clock,
  ConfigurationError,
  type Given,
  type Logger,
  oneOf,
  type PgDatabase,
  type TransactionRunner,
  wholeNumber,
} from '@waybill/kernel';
import { flag } from '@waybill/kernel/internal';
import type { LogSignals, Sealer, Topics } from '@waybill/log';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import type { RetryBudgetStore } from './policy/retry-budget-store.js';
import type { CircuitState } from './policy/circuit-breaker.js';
import type { ConsumerCounts } from './retry/consumer-counters.js';
import type { RetryBudgetOptions } from './policy/retry-budget.js';
import type { AttemptOutcome } from './retry/attempt-outcome.js';
import type { Subscription } from './handler/subscription.js';
import type { PatternSubscription } from './handler/topic-pattern.js';

/** What the options of a Consumer may be. */
export const CONSUMER_SPECS = {
  /** How long this process keeps its partitions when it is not heard of, in milliseconds. */
  leaseMs: wholeNumber({ default: 10_000, min: 300, max: 600_000 }),
  /** How often it lets itself be heard, in milliseconds. */
  heartbeatMs: wholeNumber({ default: 2_000, min: 50, max: 200_000 }),
  /** Deliveries that run at the same time in this process; each has a connection of its own. */
  maxConcurrency: wholeNumber({ default: 8, min: 1, max: 1_000 }),
  /** Longest time without a look at the log, in milliseconds. */
  pollMaxMs: wholeNumber({ default: 250, min: 1, max: 60_000 }),
  /** How long a partition that is given away, or a process that stops, waits for handlers, in milliseconds. */
  drainMs: wholeNumber({ default: 20_000, min: 0, max: 3_600_000 }),
  /** Whether what says that records are done is kept prepared on the connections of deliveries. */
  preparedStatements: flag(true),
  /** Where a group begins that has never stored a position. */
  startFrom: oneOf(['earliest', 'latest'], 'earliest'),
  /** A message that takes its process down alone as often as this becomes a dead letter. */
  maxCrashes: wholeNumber({ default: 3, min: 1, max: 100 }),
  /** Messages of a partition that may be parked for a retry; beyond that they are retried in place. */
  maxParked: wholeNumber({ default: 10_000, min: 0, max: 1_000_000 }),
};

/** Options of a Consumer. */
export type ConsumerOptions = Given<typeof CONSUMER_SPECS> & {
  /** What the group may spend on retries, all its processes together. Default: no limit. */
  readonly retryBudget?: RetryBudgetOptions;
};

/** What a Consumer works with. */
export interface ConsumerDependencies {
  readonly group: string;
  readonly subscriptions: readonly Subscription[];
  /** Subscriptions to all topics that match, those included that are created later. One by name comes before them. */
  readonly patterns?: readonly PatternSubscription[];
  /** Told when this member begins to give partitions away, and when the last of them is given. */
  readonly onRebalancing?: (isRebalancing: boolean) => void;
  /** Where the log is. */
  readonly bus: PgDatabase;
  /** Opens handlers' transactions, in the log's database or in another that has been migrated. */
  readonly transactions: TransactionRunner;
  readonly topics: Topics;
  readonly signals: LogSignals;
  /** Keeps the group's budget of retries. Default: the log's database. */
  readonly budgets?: RetryBudgetStore;
  /** Told of every message that was not done in an attempt. */
  readonly onAttemptOutcome?: (outcome: AttemptOutcome) => void;
  /** Signs what the consumer sends itself, and verifies messages before their handlers run. Default: neither. */
  readonly signatures?: MessageSignatures | undefined;
  /** Decrypts messages before their handlers run. Default: one without a cipher. */
  readonly sealer?: Sealer | undefined;
  /** Codecs of topics that answers go to. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** How a consumer fares. */
export interface ConsumerStatus {
  readonly running: boolean;
  readonly partitions: number;
  /** Partitions that cannot be consumed, and why. */
  readonly failures: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly reason: string;
  }[];
  /** True when no heartbeat has come through for as long as the lease. */
  readonly leaseLapsed: boolean;
  /** Milliseconds since the log was last read with success; undefined before the start. */
  readonly lastReadAgeMs: number | undefined;
  /** Parked messages in this process's partitions. */
  readonly parked: number;
  readonly counts: ConsumerCounts;
  /** Circuit breakers of the topics whose handlers have one. */
  readonly circuits: Readonly<Record<string, CircuitState>>;
}

/** @throws ConfigurationError when two subscriptions are to one topic */
export function byTopic(subscriptions: readonly Subscription[]): Map<string, Subscription> {
  const map = new Map<string, Subscription>();
  const problems: string[] = [];
  for (const subscription of subscriptions) {
    if (map.has(subscription.topic)) problems.push(`topic ${subscription.topic} is subscribed to twice`);
    map.set(subscription.topic, subscription);
  }
  if (problems.length > 0) throw new ConfigurationError('The subscriptions are not usable', problems);
  return map;
}
