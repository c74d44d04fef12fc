import { sagaCommand } from '@waybill/nestjs';
import type { AboutInvoice, AboutMoney, MessageLine } from './messages.js';

/** Goods of an order or a return. */
export interface Goods extends AboutInvoice {
  readonly lines: readonly MessageLine[];
}

/** What a refund is for: a confirmed order that was cancelled, or a return with a number of its own. */
export type RefundCause = 'cancelled' | 'returned';

/** How a customer pays: at once by card, or by bank transfer, which is still to come. */
export type PaidBy = 'card' | 'transfer';

/** Sets everything aside, or nothing: rejected when something is not in stock. */
export const reserveStock = sagaCommand<Goods>('inventory.reserve');
/** Undoes {@link reserveStock}. */
export const releaseStock = sagaCommand<AboutInvoice>('inventory.release');
/** Arranges the parcel: rejected when nobody delivers there. */
export const arrangeShipment = sagaCommand<AboutInvoice>('inventory.ship');
/** Takes goods back: of a cancelled order, or of a return. */
export const takeGoodsBack = sagaCommand<Goods>('inventory.take-back');

/** Begins a payment, with nothing charged yet: rejected when the shop does not want the customer's money. */
export const openPayment = sagaCommand<AboutMoney>('payments.open');
/**
 * Undoes {@link openPayment} and all that came of it: what was charged, or may have been, is found out and paid back, and
 * nothing is charged later. That is why it is no compensation of the charge itself: when nobody knows whether a charge
 * was made, the barrier has nothing to undo, while the gateway may have the money.
 */
export const closePayment = sagaCommand<AboutInvoice>('payments.close');
/** Charges the card of an open payment. */
export const chargePayment = sagaCommand<AboutInvoice, { readonly paidBy: PaidBy }>('payments.charge');
/** Notes that an awaited bank transfer has come. */
export const bookTransfer = sagaCommand<AboutInvoice & { readonly reference: string }>(
  'payments.book-transfer',
);
/** Pays money back for goods that came back. */
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
