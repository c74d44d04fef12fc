import { Saga, saga } from '@waybill/nestjs';
import { type Basket, releaseLine, reserveLine, shipOrder } from './contracts.js';

const MINUTE = 60_000;
const ORDER_STATES = { COMPLETED: 'shipped', COMPENSATED: 'rejected', CANCELLED: 'cancelled' };

@Saga()
export class PlaceBasket {
  readonly definition = saga<Basket>('orders.basket')
    .forEach('reserve', {
      items: ({ lines }) => lines,
      key: ({ sku }) => sku,
      step: {
        invoke: reserveLine,
        with: ({ sku, pieces }, { orderId }) => ({ orderId, sku, pieces }),
        then: ({ shelf }) => shelf, // data.reserve['lantern'] is the shelf of the lanterns
        undo: { invoke: releaseLine, with: ({ sku }, { orderId }) => ({ orderId, sku }) },
      },
    })
    .local('openPayment', {
      run: async ({ orderId, pence }, { transaction }) => {
        await transaction.query(`insert into payment (order_id, pence, state) values ($1, $2, 'open')`, [
          orderId,
          pence,
        ]);
      },
      undo: {
        run: async ({ orderId }, { transaction }) => {
          await transaction.query(
            `update payment set state = case state when 'paid' then 'refund due' else 'closed' end
              where order_id = $1`,
            [orderId],
          );
        },
      },
    })
    .waitFor<{ paymentId: string }, { paymentId: string }>('paid', {
      then: ({ paymentId }) => ({ paymentId }),
      timeoutMs: 30 * MINUTE,
    })
    .step('ship', {
      invoke: shipOrder,
      with: ({ orderId }) => ({ orderId }),
      then: ({ parcel }) => ({ parcel }),
      pivot: true,
    })
    .attributes(({ customer }) => ({ customer })) // waybill saga list --where customer=ada
    .onEnd(async ({ key, state, reason }, tx) => {
      await tx.query('update orders set state = $2, reason = $3 where id = $1', [
        key,
        ORDER_STATES[state],
        reason,
      ]);
    })
    .build();
}
