import { Controller, Inject, UseFilters } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { type WaybillContext, waybillTransport } from '@waybill/nestjs';
import type { OrderCancelled, OrderPlaced, OrderRejected, OrderReturned } from '../contracts/messages.js';
import { Messenger } from '../messaging/messenger.js';
import { ShopErrorFilter } from '../messaging/shop-error.filter.js';
import { messageIdOf, recordEffect } from '../messaging/witness.js';
import type { InventoryTransaction } from './inventory-prisma.js';
import {
  type MovementReason,
  negated,
  type Pieces,
  stockedPieces,
  StockRepository,
} from './stock.repository.js';

const transport = waybillTransport('inventory');

type Context = WaybillContext<InventoryTransaction>;

/** Stock: sets goods aside for an order, puts them back when it fails, takes them back when it is cancelled. */
@Controller()
@UseFilters(ShopErrorFilter)
export class InventoryController {
  constructor(
    @Inject(StockRepository) private readonly stock: StockRepository,
    @Inject(Messenger) private readonly messenger: Messenger,
  ) {}

  /** Sets everything aside, or nothing. */
  @EventPattern<string>('orders.placed', transport)
  async onPlaced(@Payload() message: OrderPlaced, @Ctx() ctx: Context): Promise<void> {
    const { invoiceNo, customerId, amountPence } = message;
    const wanted = stockedPieces(message.lines);
    const levels = await this.stock.lockLevels(ctx.transaction, wanted);
    const short = [...wanted]
      .filter(([sku, quantity]) => (levels.get(sku) ?? 0) < quantity)
      .map(([sku]) => sku);
    if (short.length > 0) {
      const reason = `not in stock: ${short.join(', ')}`;
      await this.messenger.publish(ctx.transaction, 'inventory.rejected', { invoiceNo, customerId, reason });
    } else {
      await this.move(ctx, negated(wanted), 'RESERVED', invoiceNo);
      const reserved = { invoiceNo, customerId, amountPence };
      await this.messenger.publish(ctx.transaction, 'inventory.reserved', reserved);
    }
    await recordEffect(ctx);
  }

  /** Puts back what is set aside; nothing is, when it was the stock that did not suffice. */
  @EventPattern<string>('orders.rejected', transport)
  async onRejected(@Payload() message: OrderRejected, @Ctx() ctx: Context): Promise<void> {
    const reserved = await this.stock.reservedFor(ctx.transaction, message.invoiceNo);
    await this.stock.lockLevels(ctx.transaction, reserved);
    await this.move(ctx, reserved, 'RELEASED', message.invoiceNo);
    await recordEffect(ctx);
  }

  /** Takes back the goods of a cancelled order. */
  @EventPattern<string>('orders.cancelled', transport)
  async onCancelled(@Payload() message: OrderCancelled, @Ctx() ctx: Context): Promise<void> {
    await this.takeBack(message, ctx);
  }

  /** Takes back the goods of a return. */
  @EventPattern<string>('orders.returned', transport)
  async onReturned(@Payload() message: OrderReturned, @Ctx() ctx: Context): Promise<void> {
    await this.takeBack(message, ctx);
  }

  private async takeBack(message: OrderPlaced, ctx: Context): Promise<void> {
    const pieces = stockedPieces(message.lines);
    await this.stock.lockLevels(ctx.transaction, pieces);
    await this.move(ctx, pieces, 'RETURNED', message.invoiceNo);
    await recordEffect(ctx);
  }

  private async move(ctx: Context, pieces: Pieces, reason: MovementReason, invoiceNo: string): Promise<void> {
    await this.stock.move(ctx.transaction, pieces, { reason, invoiceNo, messageId: messageIdOf(ctx) });
  }
}
