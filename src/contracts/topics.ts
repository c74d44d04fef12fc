import type { ServiceName } from './services.js';

/** Who publishes a topic and who has a handler for it. The reconciliation expects one effect per subscriber. */
export interface TopicContract {
  readonly publisher: ServiceName;
  readonly subscribers: readonly ServiceName[];
}

/** Every topic of the shop. Messages are keyed by {@link messageKey}. */
export const TOPICS = {
  'orders.placed': { publisher: 'orders', subscribers: ['inventory'] },
  'orders.rejected': { publisher: 'orders', subscribers: ['inventory'] },
  'orders.cancelled': { publisher: 'orders', subscribers: ['inventory', 'payments'] },
  'orders.returned': { publisher: 'orders', subscribers: ['inventory', 'payments'] },
  'orders.payment-due': { publisher: 'orders', subscribers: ['orders'] },
  'inventory.reserved': { publisher: 'inventory', subscribers: ['payments'] },
  'inventory.rejected': { publisher: 'inventory', subscribers: ['orders'] },
  'payments.charged': { publisher: 'payments', subscribers: ['orders'] },
  'payments.awaited': { publisher: 'payments', subscribers: ['orders'] },
  'payments.declined': { publisher: 'payments', subscribers: ['orders'] },
  'payments.refunded': { publisher: 'payments', subscribers: ['orders'] },
} as const satisfies Record<string, TopicContract>;

export type ShopTopic = keyof typeof TOPICS;

const PARTITIONS = 4;

/** How a topic is created. */
interface TopicSettings {
  readonly partitions: number;
  readonly onDeadLetter: 'park';
}

/**
 * The topics as the module creates them: all of them, since a service may start before the one it listens to. Where a
 * message cannot be handled, later ones of its customer wait until somebody has decided: their order is kept.
 */
export function topicSettings(): Record<ShopTopic, TopicSettings> {
  const names = Object.keys(TOPICS) as ShopTopic[];
  const settings: TopicSettings = { partitions: PARTITIONS, onDeadLetter: 'park' };
  return Object.fromEntries(names.map((name) => [name, settings])) as Record<ShopTopic, TopicSettings>;
}

/**
 * The key of an order's messages: the customer, so that one customer's orders are handled in the order in which they
 * were placed; a guest's order stands for itself.
 */
export function messageKey(invoiceNo: string, customerId: string | null): string {
  return customerId ?? invoiceNo;
}

/** One expected effect for each message of `topic`. */
export interface Subscription {
  readonly topic: ShopTopic;
  readonly service: ServiceName;
}

/** Every topic with every service that has a handler for it. */
export function subscriptions(): Subscription[] {
  return (Object.keys(TOPICS) as ShopTopic[]).flatMap((topic) =>
    TOPICS[topic].subscribers.map((service) => ({ topic, service })),
  );
}

/** A service that is killed is missed after three seconds, not ten: what it had in hand is waited for that long. */
export const CONSUMER_SETTINGS = { leaseMs: 3_000, heartbeatMs: 500 };
