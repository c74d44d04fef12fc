import type { Clock, Logger } from '@waybill/kernel';
import type { PartitionProgress, Topic, Topics } from '@waybill/log';
import type { CircuitBreaker } from '../policy/circuit-breaker.js';
import type { ConsumerCounters } from './consumer-counters.js';
import type { DeliveryDatabases } from '../delivery/delivery-transaction.js';
import type { RetryBudget } from '../policy/retry-budget.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import type { Permits } from '../delivery/permits.js';
import type { Subscription } from '../handler/subscription.js';

/** What a lane shares with the other lanes of its consumer. */
export interface LaneContext {
  readonly group: string;
  readonly groupId: number;
  readonly databases: DeliveryDatabases;
  readonly topics: Pick<Topics, 'find'>;
  readonly permits: Permits;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly counters: ConsumerCounters;
  /** Absent when the group may retry as often as it likes. */
  readonly budget: RetryBudget | undefined;
  /** A record that takes its process down alone as often as this becomes a dead letter. */
  readonly maxCrashes: number;
  /** Most messages of a partition that may be parked. */
  readonly maxParked: number;
  /** Lets every lane look whether something may run. */
  readonly wake: () => void;
  /** Told of every message that was not done in an attempt. */
  readonly onAttemptOutcome: ((outcome: AttemptOutcome) => void) | undefined;
}

/** One partition as its lane works on it. */
export interface LaneEnvironment {
  readonly context: LaneContext;
  readonly subscription: Subscription;
  readonly topic: Topic;
  readonly partition: number;
  readonly progress: PartitionProgress;
  /** Shared by all lanes of the subscription in this process; absent when it has none. */
  readonly breaker: CircuitBreaker | undefined;
}

/** Fields by which log lines of a lane are found. */
export function fieldsOf({ context, topic, partition }: LaneEnvironment): Record<string, string | number> {
  return { group: context.group, topic: topic.name, partition };
}
