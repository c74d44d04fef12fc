import type { Clock, Logger } from '@waybill/kernel';
import type { Topic, Topics } from '@waybill/log';
import type { PartitionProgress } from '../progress/partition-progress.js';
import type { CircuitBreaker } from '../policy/circuit-breaker.js';
import type { ConsumerCounters } from './consumer-counters.js';
import type { DeliveryDatabases } from '../delivery/handler-calls.js';
import type { RetryBudget } from '../policy/retry-budget.js';
import type { AttemptOutcome } from './attempt-outcome.js';
import type { Permits } from '../delivery/permits.js';
import type { Subscription } from '../handler/subscription.js';

/** What a lane shares with its consumer's other lanes. */
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
  /** Absent if the group's retries are unlimited. */
  readonly budget: RetryBudget | undefined;
  /** A record that crashes its process this often while running alone becomes a dead letter. */
  readonly maxCrashes: number;
  /** Maximum number of parked messages of a partition. */
  readonly maxParked: number;
  /** Has every lane check whether something may run. */
  readonly wake: () => void;
  /** Called for every message that was not done in an attempt. */
  readonly onAttemptOutcome: ((outcome: AttemptOutcome) => void) | undefined;
}

/** The partition of a lane and its settings. */
export interface LaneEnvironment {
  readonly context: LaneContext;
  readonly subscription: Subscription;
  readonly topic: Topic;
  readonly partition: number;
  readonly progress: PartitionProgress;
  /** Shared by all lanes of the subscription in this process; absent if it has none. */
  readonly breaker: CircuitBreaker | undefined;
}

/** Fields that identify a lane in log lines. */
export function fieldsOf({ context, topic, partition }: LaneEnvironment): Record<string, string | number> {
  return { group: context.group, topic: topic.name, partition };
}
