import { COMMAND_TOPICS } from './commands.js';
import type { ServiceName } from './services.js';

/** The publisher and the subscribers of a topic. The reconciliation expects one effect per subscriber. */
export interface TopicContract {
  readonly publisher: ServiceName;
  readonly subscribers: readonly ServiceName[];
}

/** Every topic of events; those of saga commands are separate. Events are keyed by {@link messageKey}. */
export const TOPICS = {
  'orders.confirmed': { publisher: 'orders', subscribers: ['inventory'] },
} as const satisfies Record<string, TopicContract>;

export type ShopTopic = keyof typeof TOPICS;

const PARTITIONS = 4;

/** How a topic is created. */
interface TopicSettings {
  readonly partitions: number;
  readonly onDeadLetter: 'park';
}

/**
 * The topics that the module creates: all of them, since a service may start before the one it listens to. When an
 * event cannot be handled, later ones of its customer wait for an operator's decision, so that their order is kept.
 */
export function topicSettings(): Record<string, TopicSettings> {
  const settings: TopicSettings = { partitions: PARTITIONS, onDeadLetter: 'park' };
  const names = [...Object.keys(TOPICS), ...COMMAND_TOPICS];
  return Object.fromEntries(names.map((name) => [name, settings]));
}

/**
 * The key of an order's events: the customer, so that events about one customer's orders are handled in the order
 * in which they were published; a guest's order is its own key.
 */
export function messageKey(invoiceNo: string, customerId: string | null): string {
  return customerId ?? invoiceNo;
}

/** A service that should have one effect for each message of `topic`. */
export interface Subscription {
  readonly topic: ShopTopic;
  readonly service: ServiceName;
}

/** Every topic of events with every service that has a handler for it. */
export function subscriptions(): Subscription[] {
  return (Object.keys(TOPICS) as ShopTopic[]).flatMap((topic) =>
    TOPICS[topic].subscribers.map((service) => ({ topic, service })),
  );
}

/** The lease of a killed service expires after three seconds, not ten: its messages in flight wait for that long. */
export const CONSUMER_SETTINGS = { leaseMs: 3_000, heartbeatMs: 500 };
