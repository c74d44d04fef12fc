// The basket sagas: lines are reserved, a child pays by HTTP and is completed by a webhook, the parcel is sent.
import { httpCommand, saga, sagaCommand } from '@waybill/saga';

const quick = { timeoutMs: 300_000, maxAttempts: 20, delayMs: 50, maxDelayMs: 200 };

/** @param release from the second one on orders are audited, under the same version */
export function basketSagas(gateway, release) {
  const payment = saga('baskets.pay')
    .step('charge', {
      invoke: httpCommand({ url: `${gateway}/charge/{orderId}`, rejectOn: [402] }),
      with: (order) => order,
      undo: { invoke: httpCommand(`${gateway}/refund/{orderId}`), with: (order) => order, policy: quick },
      policy: { ...quick, timeoutMs: 4_000 },
    })
    .local('book', {
      pivot: true,
      run: async ({ orderId }, { transaction }) => {
        await transaction.query('insert into booking (order_id) values ($1)', [orderId]);
      },
    })
    .waitFor('cleared', { then: (receipt) => ({ receipt }) })
    .build();
  const reserving = saga('baskets.order').forEach('reserve', {
    items: ({ lines }) => lines,
    key: ({ sku }) => sku,
    concurrency: 2,
    step: {
      invoke: sagaCommand('stock.take'),
      with: ({ sku, pieces }, { scenario }) => ({ sku, pieces, scenario }),
      then: ({ shelf }) => shelf,
      undo: { invoke: sagaCommand('stock.put'), with: ({ sku, pieces }) => ({ sku, pieces }), policy: quick },
      policy: quick,
    },
  });
  const audited =
    release < 2
      ? reserving
      : reserving.local('audit', {
          patched: 'audit',
          run: async ({ orderId }, { transaction }) => {
            await transaction.query('insert into audit (order_id) values ($1)', [orderId]);
          },
        });
  const order = audited
    .child('payment', { saga: payment, key: ({ orderId }) => orderId, with: (data) => data })
    .step('ship', {
      invoke: sagaCommand('shipping.send'),
      with: ({ orderId, scenario }) => ({ orderId, scenario }),
      policy: quick,
    })
    .onEnd(async ({ key, state }, transaction) => {
      await transaction.query('update orders set state = $2 where id = $1', [key, state]);
    })
    .build();
  // Started by a shipping event, and continued by another, which may come first.
  const delivery = saga('baskets.deliver')
    .waitForEvent('parcels.delivered', {
      match: ({ orderId }) => orderId,
      by: ({ orderId }) => orderId,
      then: ({ signedBy }) => ({ signedBy }),
    })
    .local('sign', {
      run: async ({ orderId, signedBy }, { transaction }) => {
        await transaction.query('insert into delivery (order_id, signed_by) values ($1, $2)', [
          orderId,
          signedBy,
        ]);
      },
    })
    .build();
  return { payment, order, delivery };
}
