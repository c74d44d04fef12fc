import type { ShopTopic } from './topics.js';

/** One article of an order. Money is always whole pence. */
export interface MessageLine {
  readonly sku: string;
  readonly quantity: number;
}

/** What every message of the shop says about the order or return that it belongs to. */
interface AboutInvoice {
  readonly invoiceNo: string;
  readonly customerId: string | null;
}

interface AboutMoney extends AboutInvoice {
  readonly amountPence: number;
}

/** An order was written. Inventory is asked to reserve its goods. */
export interface OrderPlaced extends AboutMoney {
  readonly lines: readonly MessageLine[];
}

/** An order will not be fulfilled. Inventory releases what it holds for it. */
export interface OrderRejected extends AboutInvoice {
  readonly reason: string;
}

/** A confirmed order is taken back: goods and money return. */
export type OrderCancelled = OrderPlaced;

/** Goods came back on a credit note of its own: goods and money return. */
export type OrderReturned = OrderPlaced;

/** The goods are set aside. Payments is asked to charge. */
export type StockReserved = AboutMoney;

/** Not everything is in stock, and nothing was set aside. */
export interface StockRejected extends AboutInvoice {
  readonly reason: string;
}

/** The customer has paid. */
export type PaymentCharged = AboutMoney;

/** The customer will not pay. */
export interface PaymentDeclined extends AboutInvoice {
  readonly reason: string;
}

/** What a refund is for: a confirmed order that was cancelled, or a return with a number of its own. */
export type RefundCause = 'cancelled' | 'returned';

/** The customer pays by bank transfer, and has not yet. */
export type PaymentAwaited = AboutMoney;

/** The time in which an awaited payment had to come is over. Published for later. */
export type PaymentDue = AboutInvoice;

/** The customer has the money back. */
export interface PaymentRefunded extends AboutMoney {
  readonly cause: RefundCause;
}

/** What a message of a topic carries. */
export interface ShopMessages extends Record<ShopTopic, AboutInvoice> {
  'orders.placed': OrderPlaced;
  'orders.rejected': OrderRejected;
  'orders.cancelled': OrderCancelled;
  'orders.returned': OrderReturned;
  'orders.payment-due': PaymentDue;
  'inventory.reserved': StockReserved;
  'inventory.rejected': StockRejected;
  'payments.charged': PaymentCharged;
  'payments.awaited': PaymentAwaited;
  'payments.declined': PaymentDeclined;
  'payments.refunded': PaymentRefunded;
}
