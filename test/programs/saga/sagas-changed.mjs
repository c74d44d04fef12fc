import { saga, sagaCommand } from '@waybill/saga';

/** A definition that differs from that of test/saga/sagas-in-nest-and-by-command.spec.ts. */
export const placeOrder = saga('orders.place', { version: 2 })
  .step('reserve', {
    invoke: sagaCommand('stock.reserve'),
    with: ({ orderId }) => ({ orderId }),
    then: ({ shelf }) => ({ shelf }),
    undo: { invoke: sagaCommand('stock.release'), with: ({ orderId }) => ({ orderId }) },
  })
  .step('charge', {
    invoke: sagaCommand('payments.charge'),
    with: ({ pence }) => ({ pence, currency: 'GBP' }),
    then: ({ chargeId }) => ({ chargeId }),
    pivot: true,
  })
  .build();
