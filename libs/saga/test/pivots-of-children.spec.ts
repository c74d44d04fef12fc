import { describe, expect, test } from '@jest/globals';
import { given } from '@waybill/testing/saga';
import { saga, sagaCommand } from '../src/index.js';

const reserve = sagaCommand<object>('stock.reserve');
const release = sagaCommand<object>('stock.release');
const ship = sagaCommand<object>('shipping.ship');

const payment = saga<object>('payment')
  .local('pay', { run: async () => {}, pivot: true })
  .build();
const child = { saga: payment, key: () => 'P-1', with: () => ({}) };
const order = saga<object>('order')
  .step('reserve', {
    invoke: reserve,
    with: () => ({}),
    undo: { invoke: release, with: () => ({}) },
  })
  .child('payment', child)
  .step('ship', { invoke: ship, with: () => ({}), policy: { maxAttempts: 1 } })
  .build();
const both = saga<object>('both')
  .parallel((group) => group.child('payment', child).step('ship', { invoke: ship, with: () => ({}) }))
  .build();

describe('a parent whose child has passed its pivot', () => {
  const paid = () =>
    given(order)
      .whenStarted('A-1', {})
      .expectCommand(reserve)
      .whenReply('reserve')
      .whenChildEnds('payment', 'COMPLETED', {}, true)
      .expectCommand(ship);

  test.each([
    ['is stuck when a step is rejected', () => paid().whenRejected('ship', 'no lorry')],
    ['is stuck when a step is given up', () => paid().whenFailed('ship', 'down')],
  ])('%s', (_, story) => {
    story().expectState('STUCK').expectNoCommand();
  });

  test('is not cancelled, and does not compensate at its deadline', () => {
    paid().whenCancelled().expectState('RUNNING').expectNoCommand();
  });

  test('is notified while the child continues', () => {
    given(both)
      .whenStarted('A-1', {})
      .expectCommand(ship)
      .whenChildEnds('payment', 'RUNNING', {}, true)
      .whenRejected('ship', 'no lorry')
      .expectState('STUCK')
      .whenChildEnds('payment', 'COMPLETED', {}, true)
      .expectState('STUCK');
  });

  test('may compensate if the child has not passed its pivot', () => {
    given(both)
      .whenStarted('A-1', {})
      .expectCommand(ship)
      .whenChildEnds('payment', 'COMPLETED', {})
      .whenRejected('ship', 'no lorry')
      .expectState('COMPENSATING')
      .whenChildEnds('payment', 'COMPENSATED')
      .expectState('COMPENSATED');
  });

  test('is stuck if it began to compensate before it was notified, and an operator decides', () => {
    const story = given(both)
      .whenStarted('A-1', {})
      .expectCommand(ship)
      .whenRejected('ship', 'no lorry')
      .expectState('COMPENSATING')
      .whenChildRefuses('payment', 'RUNNING')
      .expectState('STUCK');
    expect(story.instance.reason).toContain('has passed its pivot');
    story.whenChildEnds('payment', 'COMPLETED', {}, true).expectState('STUCK');
    story.whenOperator({ type: 'skip', step: 'payment' }).expectState('COMPENSATED');
    expect(story.instance.reason).toContain('no lorry');
    expect(story.instance.steps['payment']?.reason).toContain('has passed its pivot');
  });
});

describe('a child', () => {
  const steps = saga<object>('steps')
    .step('reserve', { invoke: reserve, with: () => ({}), undo: { invoke: release, with: () => ({}) } })
    .local('pay', { run: async () => {}, pivot: true })
    .step('ship', { invoke: ship, with: () => ({}) })
    .build();

  test('compensates with its parent before its pivot', () => {
    given(steps)
      .whenStarted('C', {})
      .expectCommand(reserve)
      .whenParentCompensates()
      .expectCommand(release)
      .expectState('COMPENSATING');
  });

  test('only goes forward after it', () => {
    given(steps)
      .whenStarted('C', {})
      .expectCommand(reserve)
      .whenReply('reserve')
      .expectCommand(ship)
      .whenParentCompensates()
      .expectState('RUNNING')
      .whenReply('ship')
      .expectState('COMPLETED')
      .whenParentCompensates()
      .expectState('COMPLETED');
  });

  test('that has a pivot makes the following steps of its parent necessary', () => {
    const ship20 = order.steps.find(({ name }) => name === 'ship')?.forward;
    expect(ship20).toMatchObject({ policy: { maxAttempts: 1 } });
    const followed = saga<object>('followed')
      .child('payment', child)
      .step('ship', { invoke: ship, with: () => ({}) })
      .build();
    expect(followed.steps[1]?.forward).toMatchObject({ policy: { maxAttempts: 20 } });
    expect(followed.hasPivot).toBe(true);
  });
});
