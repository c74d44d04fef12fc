// The order saga of the chaos tests: reserve, charge, ship (the pivot), confirm.
import { saga, sagaCommand } from '@waybill/saga';

const whole = (order) => order;
const command = (topic) => sagaCommand(topic);
/** An order's own commands; each payload is the order's current data. */
export const TOPICS = {
  stock: ['stock.reserve', 'stock.release'],
  payments: ['payments.charge', 'payments.refund'],
  shipping: ['shipping.ship'],
};

function orderSaga(type, charging) {
  const quick = { timeoutMs: 300_000, maxAttempts: 20, delayMs: 50, maxDelayMs: 200 };
  return saga(type)
    .step('reserve', {
      invoke: command('stock.reserve'),
      with: whole,
      then: ({ shelf }) => ({ shelf }),
      undo: { invoke: command('stock.release'), with: whole, policy: quick },
      policy: quick,
    })
    .step('charge', {
      invoke: command('payments.charge'),
      with: whole,
      then: ({ receipt }) => ({ receipt }),
      undo: { invoke: command('payments.refund'), with: whole, policy: quick },
      policy: { ...quick, ...charging },
    })
    .step('ship', { invoke: command('shipping.ship'), with: whole, pivot: true, policy: quick })
    .local('confirm', {
      run: async ({ orderId, shelf }, { transaction, sagaId }) => {
        await transaction.query(`update orders set state = 'confirmed' where id = $1`, [orderId]);
        await transaction.query('insert into deed (saga, what, mark) values ($1, $2, $3)', [
          sagaId,
          'confirm',
          shelf,
        ]);
      },
    })
    .build();
}

export const placeOrder = orderSaga('orders.place', {});
/** Waits only a short time for the reply of payments. */
export const hastyOrder = orderSaga('orders.hasty', { timeoutMs: 4_000, maxAttempts: 2 });
