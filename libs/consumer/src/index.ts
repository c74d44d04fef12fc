export { Consumer, type ConsumerOptions, type ConsumerParts, type ConsumerStatus } from './consumer.js';
export { type Delivery } from './delivery.js';
export {
  type Handler,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from './subscription.js';
