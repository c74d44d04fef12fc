import type { AboutInvoice } from './messages.js';
import type { ShopTopic } from './topics.js';

/** An order is paid and its parcel arranged: it may be sent. */
export type OrderConfirmed = AboutInvoice;

/** Payload of a topic's messages. */
export interface ShopMessages extends Record<ShopTopic, AboutInvoice> {
  'orders.confirmed': OrderConfirmed;
}
