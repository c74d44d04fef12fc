import { COMMAND_TOPICS } from './commands.js';
import type { ServiceName } from './services.js';

/** Who publishes a topic and who has a handler for it. The reconciliation expects one effect per subscriber. */
export interface TopicContract {
  readonly publisher: ServiceName;
  readonly subscribers: readonly ServiceName[];
}

/** Every topic of events, beside those of the sagas' commands. Events are keyed by {@link messageKey}. */
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
 * The topics as the module creates them: all of them, since a service may start before the one it listens to. Where an
 * event cannot be handled, later ones of its customer wait until somebody has decided: their order is kept.
 */
export function topicSettings(): Record<string, TopicSettings> {
  const settings: TopicSettings = { partitions: PARTITIONS, onDeadLetter: 'park' };
  const names = [...Object.keys(TOPICS), ...COMMAND_TOPICS];
  return Object.fromEntries(names.map((name) => [name, settings]));
}

/**
 * The key of an order's events: the customer, so that what is said about one customer's orders is handled in the order
 * in which it was said; a guest's order stands for itself.
 */
export function messageKey(invoiceNo: string, customerId: string | null): string {
  return customerId ?? invoiceNo;
}

/** One expected effect for each message of `topic`. */
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

/** A service that is killed is missed after three seconds, not ten: what it had in hand is waited for that long. */
export const CONSUMER_SETTINGS = { leaseMs: 3_000, heartbeatMs: 500 };
