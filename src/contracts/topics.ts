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
  'inventory.reserved': { publisher: 'inventory', subscribers: ['payments'] },
  'inventory.rejected': { publisher: 'inventory', subscribers: ['orders'] },
  'payments.charged': { publisher: 'payments', subscribers: ['orders'] },
  'payments.declined': { publisher: 'payments', subscribers: ['orders'] },
  'payments.refunded': { publisher: 'payments', subscribers: ['orders'] },
} as const satisfies Record<string, TopicContract>;

export type ShopTopic = keyof typeof TOPICS;

const PARTITIONS = 4;

/** The topics as the module creates them: all of them, since a service may start before the one it listens to. */
export function topicSettings(): Record<ShopTopic, { partitions: number }> {
  const names = Object.keys(TOPICS) as ShopTopic[];
  return Object.fromEntries(names.map((name) => [name, { partitions: PARTITIONS }])) as Record<
    ShopTopic,
    { partitions: number }
  >;
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
