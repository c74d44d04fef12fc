export { CircuitBreaker, type CircuitBreakerOptions, type CircuitState } from './circuit-breaker.js';
export { type ConsumerCounts } from './consumer-counters.js';
export { type ConsumerOptions, type ConsumerParts, type ConsumerStatus } from './consumer-options.js';
export { Consumer } from './consumer.js';
export { controlOf, type Delivery } from './delivery.js';
export { isHttpRefusal } from './failure.js';
export { readRemoteError, remoteErrorOf, statusOf } from './remote-error.js';
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
} from './reply.js';
export { type RetryBudgetOptions } from './retry-budget.js';
export { parkedBacklogs } from './statements.generated.js';
export { type Settlement } from './settlement.js';
export {
  type Handler,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from './subscription.js';
export { isTopicPattern, type PatternSubscription, TopicPatterns } from './topic-pattern.js';
export { deadLetter, drop, HandlerVerdict, retryIn } from './verdict.js';
