export { CircuitBreaker, type CircuitBreakerOptions, type CircuitState } from './policy/circuit-breaker.js';
export { type ConsumerCounts } from './retry/consumer-counters.js';
export { type ConsumerOptions, type ConsumerDependencies, type ConsumerStatus } from './consumer-options.js';
export { Consumer } from './consumer.js';
export { controlOf } from './record/record-fields.js';
export type { Delivery } from './handler/delivery.js';
export { isHttpRefusal } from './retry/decide-retry.js';
export { readRemoteError, remoteErrorOf, statusOf } from './reply/remote-error.js';
export {
  assertAnswerable,
  type Headers,
  REPLY_ERROR_HEADER,
  REPLY_KEY_HEADER,
  REPLY_STATUS_HEADER,
  REPLY_TO_HEADER,
  reasonOf,
  replyHeaders,
  replyStatus,
  type ReplyStatus,
  replyTopicOf,
  REQUEST_ID_HEADER,
} from './reply/reply.js';
export { type RetryBudgetOptions } from './policy/retry-budget.js';
export { parkedBacklogs } from './statements.generated.js';
export { type AttemptOutcome } from './retry/attempt-outcome.js';
export {
  type Handler,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from './handler/subscription.js';
export { isTopicPattern, type PatternSubscription, TopicPatterns } from './handler/topic-pattern.js';
export { deadLetter, drop, HandlerVerdict, retryIn } from './handler/handler-verdict.js';
export {
  type ErrorMatch,
  type ErrorRuleOptions,
  resolveRetryPolicy,
  retryDelayMs,
  type RetryPolicy,
  type RetryPolicyOptions,
  type RetryRule,
  retryRuleFor,
  ROCKETMQ_RETRY_DELAYS_MS,
} from './policy/retry-policy.js';
export {
  type BudgetLimits,
  type BudgetOwner,
  PostgresBudgetStore,
  RedisBudgetStore,
  type RetryBudgetStore,
} from './policy/retry-budget-store.js';
