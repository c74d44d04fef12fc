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
import type { LogEngine, Sealer } from '@waybill/log';
import type { Codec, MessageSignatures } from '@waybill/outbox';
import type { RetryBudgetStore } from './policy/retry-budget-store.js';
import type { CircuitState } from './policy/circuit-breaker.js';
import type { ConsumerCounts } from './retry/consumer-counters.js';
import type { RetryBudgetOptions } from './policy/retry-budget.js';
import type { AttemptOutcome } from './retry/attempt-outcome.js';
import type { Subscription } from './handler/subscription.js';
import type { PatternSubscription } from './handler/topic-pattern.js';

/** Names, defaults and ranges of a Consumer's options. */
export const CONSUMER_SPECS = {
  /** How long this process keeps its partitions without a heartbeat, in milliseconds. */
  leaseMs: wholeNumber({ default: 10_000, min: 300, max: 600_000 }),
  /** Heartbeat interval, in milliseconds. */
  heartbeatMs: wholeNumber({ default: 2_000, min: 50, max: 200_000 }),
  /** Deliveries that run at the same time in this process; each has its own connection. */
  maxConcurrency: wholeNumber({ default: 8, min: 1, max: 1_000 }),
  /** Longest time between two reads of the log, in milliseconds. */
  pollMaxMs: wholeNumber({ default: 250, min: 1, max: 60_000 }),
  /**
   * The same when nothing was read for a minute and signals announce what is appended, in milliseconds; at most
   * `heartbeatMs`. Not above `pollMaxMs`: always `pollMaxMs`.
   */
  pollIdleMs: wholeNumber({ default: 2_000, min: 1, max: 60_000 }),
  /** How long a partition that is given up, or a process that stops, waits for handlers, in milliseconds. */
  drainMs: wholeNumber({ default: 20_000, min: 0, max: 3_600_000 }),
  /** Whether the statements that store verdicts stay prepared on the connections of deliveries. */
  preparedStatements: flag(true),
  /** Where a group without a stored position starts. */
  startFrom: oneOf(['earliest', 'latest'], 'earliest'),
  /** A message that crashes its process this often while running alone becomes a dead letter. */
  maxCrashes: wholeNumber({ default: 3, min: 1, max: 100 }),
  /** Messages of a partition that may be parked for a retry; further ones are retried in place. */
  maxParked: wholeNumber({ default: 10_000, min: 0, max: 1_000_000 }),
};

/** Options of a Consumer. */
export type ConsumerOptions = Given<typeof CONSUMER_SPECS> & {
  /** Limits the retries of the whole group, all its processes together. Default: no limit. */
  readonly retryBudget?: RetryBudgetOptions;
};

/** What a Consumer works with. */
export interface ConsumerDependencies {
  readonly group: string;
  readonly subscriptions: readonly Subscription[];
  /**
   * Subscriptions to all topics that match, including topics created later. A subscription by name takes precedence.
   */
  readonly patterns?: readonly PatternSubscription[];
  /** Called when this member begins to give up partitions, and when the last of them is released. */
  readonly onRebalancing?: (isRebalancing: boolean) => void;
  readonly log: LogEngine;
  /** The database of the group's progress: positions, marks, charges, parked messages and dead letters. */
  readonly database: PgDatabase;
  /** Opens handlers' transactions, in that database or in another migrated one. */
  readonly transactions: TransactionRunner;
  /** Stores the group's retry budget. Default: the database of its progress. */
  readonly budgets?: RetryBudgetStore;
  /** Called for every message that was not done in an attempt. */
  readonly onAttemptOutcome?: (outcome: AttemptOutcome) => void;
  /** Signs the consumer's own messages, and verifies messages before their handlers run. Default: neither. */
  readonly signatures?: MessageSignatures | undefined;
  /** Decrypts messages before their handlers run. Default: one without a cipher. */
  readonly sealer?: Sealer | undefined;
  /** Codecs of reply topics. Default JSON. */
  readonly codecs?: Readonly<Record<string, Codec>> | undefined;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** The status of a consumer. */
export interface ConsumerStatus {
  readonly running: boolean;
  readonly partitions: number;
  /** Partitions that cannot be consumed, with the reasons. */
  readonly failures: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly reason: string;
  }[];
  /** True if no heartbeat has succeeded for the length of the lease. */
  readonly leaseLapsed: boolean;
  /** Milliseconds since the log was last read successfully; undefined before the start. */
  readonly lastReadAgeMs: number | undefined;
  /** Parked messages in this process's partitions. */
  readonly parked: number;
  readonly counts: ConsumerCounts;
  /** Circuit breakers, by topic. */
  readonly circuits: Readonly<Record<string, CircuitState>>;
}

/** @throws ConfigurationError if a topic is subscribed to twice */
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
