export { type CircuitBreakerOptions, type CircuitState } from './policy/circuit-breaker.js';
export { type ConsumerCounts } from './retry/consumer-counters.js';
export { type ConsumerOptions, type ConsumerDependencies, type ConsumerStatus } from './consumer-options.js';
export { Consumer } from './consumer.js';
export type { Delivery } from './handler/delivery.js';
export { type Headers, type ReplyStatus } from './reply/reply.js';
export { type RetryBudgetOptions } from './policy/retry-budget.js';
export { type AttemptOutcome } from './retry/attempt-outcome.js';
export { BatchFailure, type BatchHandler, type BatchOptions } from './handler/batch.js';
export {
  type BatchHandling,
  type BatchSubscriptionOptions,
  type Handler,
  type Handling,
  resolveBatchSubscription,
  resolveSubscription,
  type SingleHandling,
  type Subscription,
  type SubscriptionOptions,
} from './handler/subscription.js';
export { PartitionProgress, type StoredProgress, type Verdict } from './progress/partition-progress.js';
export { ProgressOwners, type Ownership } from './progress/progress-owners.js';
export { ProgressRetention, type ProgressRetentionOptions } from './progress/progress-retention.js';
export { type PatternSubscription } from './handler/topic-pattern.js';
export { deadLetter, drop, HandlerVerdict, retryIn } from './handler/handler-verdict.js';
export {
  type ErrorMatch,
  type ErrorRuleOptions,
  type RetryPolicy,
  type RetryPolicyOptions,
  type RetryRule,
} from './policy/retry-policy.js';
export { type BudgetLimits, type BudgetOwner, type RetryBudgetStore } from './policy/retry-budget-store.js';
