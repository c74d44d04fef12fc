import { nextStatus, type OrderEvent, type OrderStatus } from './order-state.js';
import type { OrdersTransaction } from './orders-prisma.js';

/** An order whose row this transaction has locked. */
export interface LockedOrder {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly status: OrderStatus;
  readonly totalPence: number;
}

/** Locks the order's row until the end of `tx`, so that a request and a saga cannot both move it. */
export async function lockOrder(tx: OrdersTransaction, invoiceNo: string): Promise<LockedOrder | undefined> {
  const [row] = await tx.$queryRaw<
    { customer_id: string | null; status: OrderStatus; total_pence: bigint }[]
  >`
    select customer_id, status, total_pence from orders.customer_order where invoice_no = ${invoiceNo} for update`;
  if (row === undefined) return undefined;
  return { invoiceNo, customerId: row.customer_id, status: row.status, totalPence: Number(row.total_pence) };
}

/**
 * Moves a locked order by the state machine and records the transition.
 * @param sagaId the saga in which it happens; null for a request.
 * @throws ShopError SHOP_ORDER_TRANSITION when `event` cannot happen to it.
 */
export async function moveOrder(
  tx: OrdersTransaction,
  order: LockedOrder,
  event: OrderEvent,
  sagaId: string | null,
  rejection: string | null = null,
): Promise<void> {
  const { invoiceNo, status: fromStatus } = order;
  const toStatus = nextStatus(invoiceNo, fromStatus, event);
  await tx.customerOrder.update({
    where: { invoiceNo },
    data: { status: toStatus, ...(rejection === null ? {} : { rejection }) },
    select: { invoiceNo: true },
  });
  await tx.orderTransition.create({ data: { invoiceNo, fromStatus, toStatus, sagaId } });
}
