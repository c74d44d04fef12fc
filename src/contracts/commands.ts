import { sagaCommand } from '@waybill/nestjs';
import type { AboutInvoice, AboutMoney, MessageLine } from './messages.js';

/** Goods of an order or a return. */
export interface Goods extends AboutInvoice {
  readonly lines: readonly MessageLine[];
}

/** What a refund is for: a confirmed order that was cancelled, or a return with its own number. */
export type RefundCause = 'cancelled' | 'returned';

/** How a customer pays: immediately by card, or by a later bank transfer. */
export type PaidBy = 'card' | 'transfer';

/** Sets everything aside, or nothing: rejected when something is not in stock. */
export const reserveStock = sagaCommand<Goods>('inventory.reserve');
/** Undoes {@link reserveStock}. */
export const releaseStock = sagaCommand<AboutInvoice>('inventory.release');
/** Arranges the parcel: rejected when no carrier delivers there. */
export const arrangeShipment = sagaCommand<AboutInvoice>('inventory.ship');
/** Takes goods back: of a cancelled order, or of a return. */
export const takeGoodsBack = sagaCommand<Goods>('inventory.take-back');

/** Begins a payment without a charge: rejected when the shop does not want the customer's money. */
export const openPayment = sagaCommand<AboutMoney>('payments.open');
/**
 * Undoes {@link openPayment} and everything after it: finds out what was charged, pays it back, and ensures that
 * nothing is charged later. It is not the compensation of the charge itself: when it is unknown whether a charge
 * was made, the barrier has nothing to undo, while the gateway may have the money.
 */
export const closePayment = sagaCommand<AboutInvoice>('payments.close');
/** Charges the card of an open payment. */
export const chargePayment = sagaCommand<AboutInvoice, { readonly paidBy: PaidBy }>('payments.charge');
/** Records that an awaited bank transfer has arrived. */
export const bookTransfer = sagaCommand<AboutInvoice & { readonly reference: string }>(
  'payments.book-transfer',
);
/** Pays money back for returned goods. */
export const refundPayment = sagaCommand<AboutMoney & { readonly cause: RefundCause }>('payments.refund');

/** Topics of all commands. */
export const COMMAND_TOPICS: readonly string[] = [
  reserveStock,
  releaseStock,
  arrangeShipment,
  takeGoodsBack,
  openPayment,
  closePayment,
  chargePayment,
  bookTransfer,
  refundPayment,
].map(({ topic }) => topic);
