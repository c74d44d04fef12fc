import { Inject } from '@nestjs/common';
import { Saga, saga } from '@waybill/nestjs';
import {
  arrangeShipment,
  bookTransfer,
  chargePayment,
  closePayment,
  openPayment,
  releaseStock,
  reserveStock,
} from '../contracts/commands.js';
import type { AboutInvoice, InvoiceToSettle } from '../contracts/messages.js';
import { SHOP_CONFIG, type ShopConfig } from '../shop-config.js';
import { OrderSteps } from './order-steps.js';
import type { OrdersTransaction } from './orders-prisma.js';

/**
 * A gateway that is unavailable for long leaves a dead letter for an operator: the saga waits for the redrive before it
 * sends the command again.
 */
const CHARGE = { timeoutMs: 600_000, delayMs: 60_000, maxAttempts: 10 };

/** There is no way back while the parcel may be arranged. */
const SHIP = { maxAttempts: 20 };

/** Brings a placed order to CONFIRMED, or to REJECTED with everything undone. */
@Saga({ name: 'orders' })
export class PlaceOrder {
  readonly definition;

  constructor(@Inject(SHOP_CONFIG) config: ShopConfig, @Inject(OrderSteps) steps: OrderSteps) {
    this.definition = saga<InvoiceToSettle>('orders.place')
      .local<object, OrdersTransaction>('accept', {
        run: (order, local) => steps.accept(order, { ...local, step: 'accept', op: 'action' }),
        undo: { run: (order, local) => steps.reject(order, { ...local, step: 'accept', op: 'compensate' }) },
      })
      .step('reserve', {
        invoke: reserveStock,
        with: ({ invoiceNo, customerId, lines }) => ({ invoiceNo, customerId, lines }),
        undo: { invoke: releaseStock, with: aboutInvoice },
      })
      .step('open', {
        invoke: openPayment,
        with: ({ invoiceNo, customerId, amountPence }) => ({ invoiceNo, customerId, amountPence }),
        undo: { invoke: closePayment, with: aboutInvoice },
      })
      .step('charge', {
        invoke: chargePayment,
        with: aboutInvoice,
        then: ({ paidBy }) => ({ paidBy }),
        policy: CHARGE,
      })
      .waitFor('transfer', {
        when: ({ paidBy }) => paidBy === 'transfer',
        then: ({ reference }: { reference: string }) => ({ reference }),
        timeoutMs: config.paymentDueMs,
      })
      .step('book', {
        when: ({ paidBy }) => paidBy === 'transfer',
        invoke: bookTransfer,
        with: ({ invoiceNo, customerId, reference }) => ({ invoiceNo, customerId, reference }),
      })
      .step('ship', { invoke: arrangeShipment, with: aboutInvoice, pivot: true, policy: SHIP })
      .local<object, OrdersTransaction>('confirm', {
        run: (order, local) => steps.confirm(order, { ...local, step: 'confirm', op: 'action' }),
      })
      .build();
  }
}

function aboutInvoice({ invoiceNo, customerId }: AboutInvoice): AboutInvoice {
  return { invoiceNo, customerId };
}
