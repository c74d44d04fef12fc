import { Controller, Inject, UseFilters } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { type WaybillContext, waybillTransport } from '@waybill/nestjs';
import type {
  PaymentAwaited,
  PaymentCharged,
  PaymentDeclined,
  PaymentDue,
  PaymentRefunded,
  StockRejected,
} from '../contracts/messages.js';
import { Messenger } from '../messaging/messenger.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { ShopErrorFilter } from '../messaging/shop-error.filter.js';
import { messageIdOf, recordEffect } from '../messaging/witness.js';
import { ShopError } from '../shop-error.js';
import { type LockedOrder, lockOrder, moveOrder } from './order-moves.js';
import type { OrdersTransaction } from './orders-prisma.js';

const transport = waybillTransport('orders');

type Context = WaybillContext<OrdersTransaction>;

/** What the other services say about orders. Each handler's writes commit with the position of its message. */
@Controller()
@UseFilters(ShopErrorFilter)
export class OrderOutcomesController {
  constructor(
    @Inject(Messenger) private readonly messenger: Messenger,
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
  ) {}

  /** Not everything is in stock. */
  @EventPattern<string>('inventory.rejected', transport)
  async onStockRejected(@Payload() message: StockRejected, @Ctx() ctx: Context): Promise<void> {
    await this.reject(ctx, message.invoiceNo, 'stock-rejected', message.reason);
    await recordEffect(ctx);
  }

  /** The customer does not pay. */
  @EventPattern<string>('payments.declined', transport)
  async onDeclined(@Payload() message: PaymentDeclined, @Ctx() ctx: Context): Promise<void> {
    await this.reject(ctx, message.invoiceNo, 'payment-declined', message.reason);
    await recordEffect(ctx);
  }

  /** The customer has paid. */
  @EventPattern<string>('payments.charged', transport)
  async onCharged(@Payload() message: PaymentCharged, @Ctx() ctx: Context): Promise<void> {
    const order = await existingOrder(ctx.transaction, message.invoiceNo);
    if (order.totalPence !== message.amountPence) {
      throw new ShopError(
        'SHOP_MONEY',
        `Order ${order.invoiceNo} is over ${order.totalPence} pence and ${message.amountPence} were charged. ` +
          'Correct the charge.',
      );
    }
    await moveOrder(ctx.transaction, order, 'charged', messageIdOf(ctx));
    await recordEffect(ctx);
  }

  /** The customer pays by bank transfer: the order waits for that, but not for ever. */
  @EventPattern<string>('payments.awaited', transport)
  async onAwaited(@Payload() message: PaymentAwaited, @Ctx() ctx: Context): Promise<void> {
    const { invoiceNo, customerId } = message;
    await this.messenger.publishLater(
      ctx.transaction,
      'orders.payment-due',
      { invoiceNo, customerId },
      this.config.paymentDueMs,
    );
    await recordEffect(ctx);
  }

  /** The payment had its time: an order that is still open is rejected as unpaid. */
  @EventPattern<string>('orders.payment-due', transport)
  async onPaymentDue(@Payload() message: PaymentDue, @Ctx() ctx: Context): Promise<void> {
    const order = await existingOrder(ctx.transaction, message.invoiceNo);
    if (order.status === 'PLACED')
      await this.reject(ctx, message.invoiceNo, 'unpaid', 'the payment did not come');
    await recordEffect(ctx);
  }

  /** The money of a cancelled order, or of a return, is back with the customer. */
  @EventPattern<string>('payments.refunded', transport)
  async onRefunded(@Payload() message: PaymentRefunded, @Ctx() ctx: Context): Promise<void> {
    if (message.cause === 'cancelled') {
      const order = await existingOrder(ctx.transaction, message.invoiceNo);
      await moveOrder(ctx.transaction, order, 'refunded', messageIdOf(ctx));
    } else {
      await closeReturn(ctx.transaction, message.invoiceNo);
    }
    await recordEffect(ctx);
  }

  private async reject(
    ctx: Context,
    invoiceNo: string,
    event: 'stock-rejected' | 'payment-declined' | 'unpaid',
    reason: string,
  ): Promise<void> {
    const order = await existingOrder(ctx.transaction, invoiceNo);
    await moveOrder(ctx.transaction, order, event, messageIdOf(ctx), reason);
    const { customerId } = order;
    await this.messenger.publish(ctx.transaction, 'orders.rejected', { invoiceNo, customerId, reason });
  }
}

async function existingOrder(tx: OrdersTransaction, invoiceNo: string): Promise<LockedOrder> {
  const order = await lockOrder(tx, invoiceNo);
  if (order !== undefined) return order;
  throw new ShopError(
    'SHOP_ORDER_TRANSITION',
    `There is no order ${invoiceNo}, though a message is about it. Look for another writer of the topic.`,
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
    `Return ${invoiceNo} is unknown, or was refunded before. Look for a second refund in the ledger.`,
  );
}
