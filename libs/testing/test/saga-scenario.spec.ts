import { describe, expect, test } from '@jest/globals';
import { saga, sagaCommand, SagaRejectedError } from '@waybill/saga';
import { given } from '@waybill/testing/saga';

const reserve = sagaCommand<{ orderId: string }, { shelf: number }>('stock.reserve');
const release = sagaCommand<{ shelf: number | undefined }>('stock.release');
const charge = sagaCommand<{ pence: number }, { chargeId: string }>('payments.charge');

const placeOrder = saga<{ orderId: string; pence: number }>('orders.place', { deadlineMs: 600_000 })
  .step('reserve', {
    invoke: reserve,
    with: ({ orderId }) => ({ orderId }),
    then: ({ shelf }) => ({ shelf }),
    undo: { invoke: release, with: ({ shelf }) => ({ shelf }) },
  })
  .local('note', { run: async () => ({ noted: true }) })
  .step('charge', { invoke: charge, with: ({ pence }) => ({ pence }), pivot: true })
  .build();

const order = { orderId: 'A-1', pence: 500 };

describe('scenarios of a saga', () => {
  test('tell a story that holds', () => {
    given(placeOrder)
      .whenStarted('A-1', order)
      .expectCommand(reserve, { orderId: 'A-1' })
      .expectState('RUNNING')
      .withLocal('note', () => ({ noted: true }))
      .whenReply('reserve', { shelf: 7 })
      .expectCommand(charge, { pence: 500 })
      .expectData({ shelf: 7, noted: true })
      .whenRejected('charge', 'no money')
      .expectCommand(release, { shelf: 7 })
      .expectState('COMPENSATING')
      .whenReply('reserve')
      .expectState('COMPENSATED');
  });

  test('move the clock: attempts, and what follows when they are used up', () => {
    given(placeOrder)
      .whenStarted('A-1', order)
      .expectCommand(reserve)
      .whenTimePasses(60_000)
      .expectCommand(reserve)
      .whenTimePasses(60_000)
      .expectCommand(reserve)
      .whenTimePasses(60_000)
      // Maybe it is done: it is taken back.
      .expectCommand(release, { shelf: undefined })
      .whenReply('reserve')
      .expectState('COMPENSATED');
  });

  test('a local action that rejects makes the saga turn back', () => {
    given(placeOrder)
      .withLocal('note', () => {
        throw new SagaRejectedError('not today');
      })
      .whenStarted('A-1', order)
      .expectCommand(reserve)
      .whenReply('reserve', { shelf: 7 })
      .expectCommand(release, { shelf: 7 })
      .expectState('COMPENSATING');
  });

  test('report what went wrong, with the story', () => {
    const story = given(placeOrder).whenStarted('A-1', order);
    expect(() => story.expectCommand(charge)).toThrow(
      /In saga orders\.place: a command to payments\.charge was expected\.[^]*started with[^]*sent reserve action/,
    );
    expect(() => story.expectCommand(reserve, { orderId: 'B' })).toThrow(/carries \{"orderId":"A-1"\}/);
    expect(() => story.expectState('COMPLETED')).toThrow(/it is RUNNING/);
    expect(() => story.expectNoCommand()).toThrow(/stock\.reserve got unexpected commands/);
  });
});
