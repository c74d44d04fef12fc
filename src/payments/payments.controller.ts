import { Controller, Inject, UseFilters } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { type SubscriptionOptions, type WaybillContext, waybillTransport } from '@waybill/nestjs';
import type { OrderCancelled, OrderReturned, RefundCause, StockReserved } from '../contracts/messages.js';
import { Messenger } from '../messaging/messenger.js';
import { ShopErrorFilter } from '../messaging/shop-error.filter.js';
import { messageIdOf, recordEffect } from '../messaging/witness.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { ShopError } from '../shop-error.js';
import { CardGateway } from './card-gateway.js';
import type { PaymentsTransaction } from './payments-prisma.js';

const transport = waybillTransport('payments');

/** A gateway that is away for a moment is asked again soon; for longer, the payments wait on an operator's desk. */
const CHARGING: SubscriptionOptions = {
  name: 'charge',
  retry: { immediateAttempts: 0, delayMs: 100, maxDelayMs: 2_000, maxAttempts: 6 },
};

type Context = WaybillContext<PaymentsTransaction>;

interface Payment {
  readonly invoiceNo: string;
  readonly customerId: string | null;
  readonly amountPence: number;
}

/** Money: charges an order, or declines it, and pays back. */
@Controller()
@UseFilters(ShopErrorFilter)
export class PaymentsController {
  constructor(
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
    @Inject(Messenger) private readonly messenger: Messenger,
    @Inject(CardGateway) private readonly gateway: CardGateway,
  ) {}

  /** Charges the customer by the gateway, unless the rule in {@link declineReason} forbids it. */
  @EventPattern<string>('inventory.reserved', transport, CHARGING)
  async onReserved(@Payload() message: StockReserved, @Ctx() ctx: Context): Promise<void> {
    const { invoiceNo, customerId, amountPence } = message;
    const reason = this.declineReason(message);
    if (reason !== undefined) {
      await this.enter(ctx, 'DECLINE', message);
      await this.messenger.publish(ctx.transaction, 'payments.declined', { invoiceNo, customerId, reason });
    } else {
      const answer = await this.gateway.charge(message, messageIdOf(ctx), ctx.signal);
      if (answer === 'charged') await this.enter(ctx, 'CHARGE', message);
      const payment = { invoiceNo, customerId, amountPence };
      await this.messenger.publish(ctx.transaction, `payments.${answer}`, payment);
    }
    await recordEffect(ctx);
  }

  /** Pays back what the cancelled order was charged. */
  @EventPattern<string>('orders.cancelled', transport)
  async onCancelled(@Payload() message: OrderCancelled, @Ctx() ctx: Context): Promise<void> {
    const { invoiceNo, amountPence } = message;
    const charge = await ctx.transaction.ledgerEntry.aggregate({
      where: { invoiceNo, kind: 'CHARGE' },
      _sum: { amountPence: true },
    });
    const chargedPence = Number(charge._sum.amountPence ?? 0);
    if (chargedPence !== amountPence) {
      throw new ShopError(
        'SHOP_MONEY',
        `Order ${invoiceNo} asks ${amountPence} pence back and was charged ${chargedPence}. Correct the ledger.`,
      );
    }
    await this.refund(ctx, message, 'cancelled');
  }

  /** Pays for goods that came back on a credit note: their sale may be older than this ledger. */
  @EventPattern<string>('orders.returned', transport)
  async onReturned(@Payload() message: OrderReturned, @Ctx() ctx: Context): Promise<void> {
    await this.refund(ctx, message, 'returned');
  }

  private async refund(ctx: Context, payment: Payment, cause: RefundCause): Promise<void> {
    const { invoiceNo, customerId, amountPence } = payment;
    await this.enter(ctx, 'REFUND', payment);
    const refunded = { invoiceNo, customerId, amountPence, cause };
    await this.messenger.publish(ctx.transaction, 'payments.refunded', refunded);
    await recordEffect(ctx);
  }

  private async enter(ctx: Context, kind: 'CHARGE' | 'DECLINE' | 'REFUND', payment: Payment): Promise<void> {
    const { invoiceNo, customerId, amountPence } = payment;
    await ctx.transaction.ledgerEntry.create({
      data: { kind, invoiceNo, customerId, amountPence: BigInt(amountPence), messageId: messageIdOf(ctx) },
    });
  }

  private declineReason({ customerId, amountPence }: Payment): string | undefined {
    const { chargeLimitPence, declinedCustomers } = this.config;
    if (customerId !== null && declinedCustomers.has(customerId)) return `customer ${customerId} is declined`;
    if (amountPence <= chargeLimitPence) return undefined;
    return `${amountPence} pence are over the limit of ${chargeLimitPence}`;
  }
}
