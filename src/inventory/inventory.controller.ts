import { Inject, UseFilters } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import {
  SagaCommand,
  SagaParticipant,
  SagaRejectedError,
  type WaybillContext,
  waybillTransport,
} from '@waybill/nestjs';
import {
  arrangeShipment,
  type Goods,
  releaseStock,
  reserveStock,
  takeGoodsBack,
} from '../contracts/commands.js';
import type { AboutInvoice } from '../contracts/messages.js';
import type { OrderConfirmed } from '../contracts/shop-messages.js';
import { ShopErrorFilter } from '../messaging/shop-error.filter.js';
import { recordCommand, recordEffect, sagaOf } from '../messaging/witness.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { ShopError } from '../shop-error.js';
import type { InventoryTransaction } from './inventory-prisma.js';
import {
  type MovementReason,
  negated,
  type Pieces,
  stockedPieces,
  StockRepository,
} from './stock.repository.js';

const instance = 'inventory';
const transport = waybillTransport(instance);

type Context = WaybillContext<InventoryTransaction>;

/** Goods: sets them aside for an order, puts them back, sends them off, takes them back. */
@SagaParticipant()
@UseFilters(ShopErrorFilter)
export class InventoryController {
  constructor(
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
    @Inject(StockRepository) private readonly stock: StockRepository,
  ) {}

  @SagaCommand(reserveStock, { instance })
  async reserve(@Payload() { invoiceNo, lines }: Goods, @Ctx() ctx: Context): Promise<void> {
    const wanted = stockedPieces(lines);
    const levels = await this.stock.lockLevels(ctx.transaction, wanted);
    const short = [...wanted]
      .filter(([sku, quantity]) => (levels.get(sku) ?? 0) < quantity)
      .map(([sku]) => sku);
    if (short.length > 0) throw new SagaRejectedError(`not in stock: ${short.join(', ')}`);
    await this.move(ctx, negated(wanted), 'RESERVED', invoiceNo);
    await recordCommand(ctx, invoiceNo);
  }

  /** Releases what was set aside. */
  @SagaCommand(releaseStock, { instance })
  async release(@Payload() { invoiceNo }: AboutInvoice, @Ctx() ctx: Context): Promise<void> {
    const reserved = await this.stock.reservedFor(ctx.transaction, invoiceNo);
    await this.stock.lockLevels(ctx.transaction, reserved);
    await this.move(ctx, reserved, 'RELEASED', invoiceNo);
    await recordCommand(ctx, invoiceNo);
  }

  /** Arranges the parcel; it leaves when the order is confirmed. */
  @SagaCommand(arrangeShipment, { instance })
  async ship(@Payload() { invoiceNo, customerId }: AboutInvoice, @Ctx() ctx: Context): Promise<void> {
    if (customerId !== null && this.config.undeliverableCustomers.has(customerId))
      throw new SagaRejectedError(`no carrier delivers to customer ${customerId}`);
    await ctx.transaction.shipment.create({ data: { invoiceNo, customerId } });
    await recordCommand(ctx, invoiceNo);
  }

  /** Takes back the goods of a cancelled order, or of a return. */
  @SagaCommand(takeGoodsBack, { instance })
  async takeBack(@Payload() { invoiceNo, lines }: Goods, @Ctx() ctx: Context): Promise<void> {
    const pieces = stockedPieces(lines);
    await this.stock.lockLevels(ctx.transaction, pieces);
    await this.move(ctx, pieces, 'RETURNED', invoiceNo);
    await recordCommand(ctx, invoiceNo);
  }

  /** The order is confirmed: its parcel leaves. */
  @EventPattern<string>('orders.confirmed', transport)
  async onConfirmed(@Payload() { invoiceNo }: OrderConfirmed, @Ctx() ctx: Context): Promise<void> {
    const { count } = await ctx.transaction.shipment.updateMany({
      where: { invoiceNo, dispatchedAt: null },
      data: { dispatchedAt: new Date() },
    });
    if (count !== 1) {
      throw new ShopError(
        'SHOP_ORDER_TRANSITION',
        `Order ${invoiceNo} has ${count} parcels to send instead of one. Check its shipments.`,
      );
    }
    await recordEffect(ctx);
  }

  private async move(ctx: Context, pieces: Pieces, reason: MovementReason, invoiceNo: string): Promise<void> {
    await this.stock.move(ctx.transaction, pieces, { reason, invoiceNo, sagaId: sagaOf(ctx).id });
  }
}
