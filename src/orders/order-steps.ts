import { Inject, Injectable } from '@nestjs/common';
import type { RefundCause } from '../contracts/commands.js';
import type { AboutInvoice } from '../contracts/messages.js';
import { Messenger } from '../messaging/messenger.js';
import { recordStep, type TakenStep } from '../messaging/witness.js';
import { ShopError } from '../shop-error.js';
import { type LockedOrder, lockOrder, moveOrder } from './order-moves.js';
import type { OrdersTransaction } from './orders-prisma.js';

/** A local step of a saga, and its transaction. */
export interface LocalStep extends Pick<TakenStep, 'sagaId' | 'step' | 'op'> {
  readonly transaction: OrdersTransaction;
  /** Why the saga is compensated; null if it is not. */
  readonly reason: string | null;
}

/** What the sagas do to orders and returns, each in the transaction of the saga. */
@Injectable()
export class OrderSteps {
  constructor(@Inject(Messenger) private readonly messenger: Messenger) {}

  /** The order is accepted; from here on it can be rejected. */
  async accept({ invoiceNo }: AboutInvoice, local: LocalStep): Promise<void> {
    await record(local, invoiceNo);
  }

  /** Everything done for the order is undone. */
  async reject({ invoiceNo }: AboutInvoice, local: LocalStep): Promise<void> {
    const { transaction, sagaId, reason } = local;
    const order = await existingOrder(transaction, invoiceNo);
    await moveOrder(transaction, order, 'rejected', sagaId, reason ?? 'no reason was given');
    await record(local, invoiceNo);
  }

  /** Goods, money and parcel are ready. */
  async confirm({ invoiceNo, customerId }: AboutInvoice, local: LocalStep): Promise<void> {
    const { transaction, sagaId } = local;
    const order = await existingOrder(transaction, invoiceNo);
    await moveOrder(transaction, order, 'confirmed', sagaId);
    await this.messenger.publish(transaction, 'orders.confirmed', { invoiceNo, customerId });
    await record(local, invoiceNo);
  }

  /** Goods and money of a cancelled order, or of a return, are back. */
  async close(
    { invoiceNo, cause }: AboutInvoice & { readonly cause: RefundCause },
    local: LocalStep,
  ): Promise<void> {
    const { transaction, sagaId } = local;
    if (cause === 'cancelled') {
      const order = await existingOrder(transaction, invoiceNo);
      await moveOrder(transaction, order, 'refunded', sagaId);
    } else await closeReturn(transaction, invoiceNo);
    await record(local, invoiceNo);
  }
}

async function record({ transaction, sagaId, step, op }: LocalStep, invoiceNo: string): Promise<void> {
  await recordStep(transaction, { sagaId, invoiceNo, step, op });
}

async function existingOrder(tx: OrdersTransaction, invoiceNo: string): Promise<LockedOrder> {
  const order = await lockOrder(tx, invoiceNo);
  if (order !== undefined) return order;
  throw new ShopError(
    'SHOP_ORDER_TRANSITION',
    `There is no order ${invoiceNo}, though a saga is about it. Find out what removed it.`,
  );
}

async function closeReturn(tx: OrdersTransaction, invoiceNo: string): Promise<void> {
  const { count } = await tx.returnNote.updateMany({
    where: { invoiceNo, status: 'RETURNED' },
    data: { status: 'REFUNDED' },
  });
  if (count === 1) return;
  throw new ShopError(
    'SHOP_ORDER_TRANSITION',
    `Return ${invoiceNo} is unknown, or was refunded before. Check the ledger for a second refund.`,
  );
}
