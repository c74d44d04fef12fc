export { CircuitBreaker, type CircuitBreakerOptions, type CircuitState } from './circuit-breaker.js';
export { type ConsumerCounts } from './consumer-counters.js';
export { type ConsumerOptions, type ConsumerParts, type ConsumerStatus } from './consumer-options.js';
export { Consumer } from './consumer.js';
export { type Delivery } from './delivery.js';
export { type RetryBudgetOptions } from './retry-budget.js';
export {
  type Handler,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from './subscription.js';
export { deadLetter, drop, HandlerVerdict, retryIn } from './verdict.js';
