import type { AboutInvoice } from './messages.js';
import type { ShopTopic } from './topics.js';

/** An order is paid and its parcel arranged: it may leave. */
export type OrderConfirmed = AboutInvoice;

/** What a message of a topic carries. */
export interface ShopMessages extends Record<ShopTopic, AboutInvoice> {
  'orders.confirmed': OrderConfirmed;
}
