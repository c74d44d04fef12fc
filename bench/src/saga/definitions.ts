import { saga, sagaCommand, tcc, tccBranch } from '@waybill/saga';
import type pg from 'pg';

interface Order {
  readonly orderId: string;
  readonly pence: number;
}

const reserve = sagaCommand<{ orderId: string }, { shelf: number }>('stock.reserve');
const release = sagaCommand<{ orderId: string }>('stock.release');
const charge = sagaCommand<Order, { receipt: string }>('payments.charge');
const refund = sagaCommand<Order>('payments.refund');
const ship = sagaCommand<{ orderId: string; shelf: number }>('shipping.ship');

/** An order: three steps at other services, and a local one, the last. */
export function orderSaga(onLast: () => void) {
  return saga<Order>('order')
    .step('reserve', {
      invoke: reserve,
      with: ({ orderId }) => ({ orderId }),
      then: ({ shelf }) => ({ shelf }),
      undo: { invoke: release, with: ({ orderId }) => ({ orderId }) },
    })
    .step('charge', {
      invoke: charge,
      with: ({ orderId, pence }) => ({ orderId, pence }),
      then: ({ receipt }) => ({ receipt }),
      undo: { invoke: refund, with: ({ orderId, pence }) => ({ orderId, pence }) },
    })
    .step('ship', { invoke: ship, with: ({ orderId, shelf }) => ({ orderId, shelf }), pivot: true })
    .local<object, pg.PoolClient>('confirm', {
      run: async ({ orderId }, { transaction }) => {
        await transaction.query('insert into effect (what, order_id) values ($1, $2)', ['confirm', orderId]);
        onLast();
        return {};
      },
    })
    .build();
}

const branch = (name: string) =>
  tccBranch<Order, Order>({
    try: sagaCommand(`${name}.try`),
    confirm: sagaCommand(`${name}.confirm`),
    cancel: sagaCommand(`${name}.cancel`),
    with: ({ orderId, pence }) => ({ orderId, pence }),
  });

/** A TCC transaction of three branches. */
export const trip = tcc<Order>('trip', {
  stock: branch('stock'),
  payments: branch('payments'),
  shipping: branch('shipping'),
});

/** The participants' commands, and their replies. */
export const SERVED: Readonly<Record<string, Readonly<Record<string, object>>>> = {
  stock: { 'stock.reserve': { shelf: 7 }, 'stock.try': {}, 'stock.confirm': {} },
  payments: { 'payments.charge': { receipt: 'r1' }, 'payments.try': {}, 'payments.confirm': {} },
  shipping: { 'shipping.ship': {}, 'shipping.try': {}, 'shipping.confirm': {} },
};
