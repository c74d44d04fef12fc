import { ShopError } from '../shop-error.js';

/** State of an order. REJECTED and REFUNDED are final; CONFIRMED is, until the order is cancelled. */
export const ORDER_STATUSES = ['PLACED', 'CONFIRMED', 'REJECTED', 'CANCELLING', 'REFUNDED'] as const;

export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** What can happen to an order. */
export type OrderEvent = 'confirmed' | 'rejected' | 'cancelled' | 'refunded';

const MOVES: Readonly<Record<OrderStatus, Partial<Record<OrderEvent, OrderStatus>>>> = {
  PLACED: { confirmed: 'CONFIRMED', rejected: 'REJECTED' },
  CONFIRMED: { cancelled: 'CANCELLING' },
  REJECTED: {},
  CANCELLING: { refunded: 'REFUNDED' },
  REFUNDED: {},
};

/**
 * The status that `event` leads to.
 * @throws ShopError SHOP_ORDER_TRANSITION when the event cannot happen to an order in status `from`.
 */
export function nextStatus(invoiceNo: string, from: OrderStatus, event: OrderEvent): OrderStatus {
  const to = MOVES[from][event];
  if (to === undefined) {
    const possible = Object.keys(MOVES[from]).join(', ') || 'none';
    throw new ShopError(
      'SHOP_ORDER_TRANSITION',
      `Order ${invoiceNo} is ${from} and cannot become ${event}. Possible: ${possible}.`,
    );
  }
  return to;
}
