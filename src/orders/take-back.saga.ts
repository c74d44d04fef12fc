import { Inject } from '@nestjs/common';
import { Saga, saga } from '@waybill/nestjs';
import { type RefundCause, refundPayment, takeGoodsBack } from '../contracts/commands.js';
import type { InvoiceToSettle } from '../contracts/messages.js';
import { OrderSteps } from './order-steps.js';
import type { OrdersTransaction } from './orders-prisma.js';

/** Goods come back and money goes back: for a confirmed order that is cancelled, and for a return. It only goes forward. */
@Saga({ name: 'orders' })
export class TakeBack {
  readonly definition;

  constructor(@Inject(OrderSteps) steps: OrderSteps) {
    this.definition = saga<InvoiceToSettle & { readonly cause: RefundCause }>('orders.take-back')
      .step('take-back', {
        invoke: takeGoodsBack,
        with: ({ invoiceNo, customerId, lines }) => ({ invoiceNo, customerId, lines }),
        pivot: true,
        policy: { maxAttempts: 20 },
      })
      .step('refund', {
        invoke: refundPayment,
        with: ({ invoiceNo, customerId, amountPence, cause }) => ({
          invoiceNo,
          customerId,
          amountPence,
          cause,
        }),
      })
      .local<object, OrdersTransaction>('close', {
        run: (data, local) => steps.close(data, { ...local, step: 'close', op: 'action' }),
      })
      .build();
  }
}
