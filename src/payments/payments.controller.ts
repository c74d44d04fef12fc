import { Inject, UseFilters } from '@nestjs/common';
import { Ctx, Payload } from '@nestjs/microservices';
import {
  SagaCommand,
  type SagaCommandOptions,
  SagaParticipant,
  SagaRejectedError,
  type WaybillContext,
} from '@waybill/nestjs';
import {
  bookTransfer,
  chargePayment,
  closePayment,
  openPayment,
  type PaidBy,
  type RefundCause,
  refundPayment,
} from '../contracts/commands.js';
import type { AboutInvoice, AboutMoney } from '../contracts/messages.js';
import { ShopErrorFilter } from '../messaging/shop-error.filter.js';
import { recordCommand, sagaOf } from '../messaging/witness.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { ShopError } from '../shop-error.js';
import { CardGateway } from './card-gateway.js';
import { enter, type LockedPayment, lockPayment, movePayment } from './ledger.js';
import type { PaymentsTransaction } from './payments-prisma.js';

const instance = 'payments';

/** A gateway that is unavailable for a moment is retried soon; after that, the charges wait for an operator. */
const CHARGING: SagaCommandOptions = {
  instance,
  name: 'charge',
  retry: { immediateAttempts: 0, delayMs: 300, maxDelayMs: 1_200, maxAttempts: 6 },
};

/** Refunds owed to a customer are retried for longer. */
const PAYING_BACK: SagaCommandOptions = {
  instance,
  retry: { immediateAttempts: 0, delayMs: 300, maxDelayMs: 1_200, maxAttempts: 100 },
};

type Context = WaybillContext<PaymentsTransaction>;

/** Money: charges an order, or declines it, and pays back. */
@SagaParticipant()
@UseFilters(ShopErrorFilter)
export class PaymentsController {
  constructor(
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
    @Inject(CardGateway) private readonly gateway: CardGateway,
  ) {}

  /** Begins a payment, unless the rule in {@link declineReason} forbids it. */
  @SagaCommand(openPayment, { instance })
  async open(@Payload() command: AboutMoney, @Ctx() ctx: Context): Promise<void> {
    const reason = this.declineReason(command);
    if (reason !== undefined) throw new SagaRejectedError(reason);
    const { invoiceNo, customerId, amountPence } = command;
    await ctx.transaction.payment.create({
      data: {
        invoiceNo,
        customerId,
        amountPence: BigInt(amountPence),
        status: 'OPEN',
        chargeKey: `${sagaOf(ctx).id}/charge`,
      },
      select: { invoiceNo: true },
    });
    await recordCommand(ctx, invoiceNo);
  }

  /**
   * Charges the customer by the gateway. The locked payment keeps its end from overtaking the charge; a charge that
   * comes after it charges nothing.
   */
  @SagaCommand(chargePayment, CHARGING)
  async charge(
    @Payload() { invoiceNo }: AboutInvoice,
    @Ctx() ctx: Context,
  ): Promise<{ readonly paidBy: PaidBy }> {
    const tx = ctx.transaction;
    const payment = await existingPayment(tx, invoiceNo);
    if (payment.status !== 'OPEN') throw new SagaRejectedError(`the payment is ${payment.status}`);
    const { chargeKey } = payment;
    const answer = await this.gateway.charge(chargeKey, payment);
    if (answer === 'charged') {
      await movePayment(tx, payment, 'PAID', 'CARD');
      await enter(tx, { kind: 'CHARGE', method: 'CARD', reference: chargeKey }, payment);
    } else await movePayment(tx, payment, 'AWAITED', 'TRANSFER');
    await recordCommand(ctx, invoiceNo);
    return { paidBy: answer === 'charged' ? 'card' : 'transfer' };
  }

  /** A bank transfer has arrived. */
  @SagaCommand(bookTransfer, { instance })
  async bookTransfer(
    @Payload() { invoiceNo, reference }: AboutInvoice & { readonly reference: string },
    @Ctx() ctx: Context,
  ): Promise<void> {
    const payment = await existingPayment(ctx.transaction, invoiceNo);
    if (payment.status !== 'AWAITED') throw new SagaRejectedError(`the payment is ${payment.status}`);
    await movePayment(ctx.transaction, payment, 'PAID');
    await enter(ctx.transaction, { kind: 'CHARGE', method: 'TRANSFER', reference }, payment);
    await recordCommand(ctx, invoiceNo);
  }

  /** Ends a payment: what was charged is paid back, and nothing is charged later. */
  @SagaCommand(closePayment, PAYING_BACK)
  async close(@Payload() { invoiceNo }: AboutInvoice, @Ctx() ctx: Context): Promise<void> {
    await this.payBack(ctx, await existingPayment(ctx.transaction, invoiceNo));
    await recordCommand(ctx, invoiceNo);
  }

  /** Pays for returned goods: of a cancelled order, or of a sale that may be older than this ledger. */
  @SagaCommand(refundPayment, PAYING_BACK)
  async refund(
    @Payload() command: AboutMoney & { readonly cause: RefundCause },
    @Ctx() ctx: Context,
  ): Promise<void> {
    const { invoiceNo, amountPence, cause } = command;
    if (cause === 'cancelled') {
      const payment = await existingPayment(ctx.transaction, invoiceNo);
      assertPaid(payment, amountPence);
      await this.payBack(ctx, payment);
    } else {
      const reference = `${sagaOf(ctx).id}/refund`;
      await this.gateway.payOut(reference, command);
      await enter(ctx.transaction, { kind: 'REFUND', method: 'CARD', reference }, command);
    }
    await recordCommand(ctx, invoiceNo);
  }

  private async payBack({ transaction: tx }: Context, payment: LockedPayment): Promise<void> {
    const { chargeKey, status, method } = payment;
    const byCard = await this.gateway.takeBack(chargeKey, payment);
    if (byCard) {
      // The charge may only just have been found: its handler crashed before it could record it.
      if (status !== 'PAID')
        await enter(tx, { kind: 'CHARGE', method: 'CARD', reference: chargeKey }, payment);
      await enter(tx, { kind: 'REFUND', method: 'CARD', reference: `${chargeKey}:undo` }, payment);
    } else if (status === 'PAID' && method === 'TRANSFER')
      await enter(tx, { kind: 'REFUND', method, reference: `back: ${payment.invoiceNo}` }, payment);
    await movePayment(tx, payment, 'CLOSED');
  }

  private declineReason({ customerId, amountPence }: AboutMoney): string | undefined {
    const { chargeLimitPence, declinedCustomers } = this.config;
    if (customerId !== null && declinedCustomers.has(customerId)) return `customer ${customerId} is declined`;
    if (amountPence <= chargeLimitPence) return undefined;
    return `${amountPence} pence are over the limit of ${chargeLimitPence}`;
  }
}

async function existingPayment(tx: PaymentsTransaction, invoiceNo: string): Promise<LockedPayment> {
  const payment = await lockPayment(tx, invoiceNo);
  if (payment !== undefined) return payment;
  throw new ShopError(
    'SHOP_MONEY',
    `There is no payment of order ${invoiceNo}, although a saga refers to it. Find out what removed it.`,
  );
}

function assertPaid({ invoiceNo, status, amountPence }: LockedPayment, askedPence: number): void {
  if (status === 'PAID' && amountPence === askedPence) return;
  throw new ShopError(
    'SHOP_MONEY',
    `Order ${invoiceNo} asks ${askedPence} pence back, and its payment of ${amountPence} is ${status}. Correct the ledger.`,
  );
}
