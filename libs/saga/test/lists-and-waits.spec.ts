import { describe, expect, test } from '@jest/globals';
import { given } from '@waybill/testing/saga';
import { saga, sagaCommand, SagaRejectedError } from '../src/index.js';

interface Order {
  readonly orderId: string;
  readonly lines: readonly { readonly sku: string; readonly pieces: number }[];
}

const reserve = sagaCommand<{ sku: string; pieces: number }, { shelf: string }>('stock.reserve');
const release = sagaCommand<{ sku: string; shelf: string | undefined }>('stock.release');
const charge = sagaCommand<object>('payments.charge');

const order = (concurrency: number) =>
  saga<Order>('order')
    .forEach('reserve', {
      items: ({ lines }) => lines,
      key: ({ sku }) => sku,
      concurrency,
      step: {
        invoke: reserve,
        with: ({ sku, pieces }) => ({ sku, pieces }),
        then: ({ shelf }) => shelf,
        undo: { invoke: release, with: ({ sku }, _, shelf) => ({ sku, shelf }) },
      },
    })
    .step('charge', {
      invoke: charge,
      with: ({ reserve: shelves }) => ({ shelves }),
    })
    .build();

const line = (sku: string, pieces = 1) => ({ sku, pieces });
const lines = (...skus: string[]): Order => ({ orderId: 'A-1', lines: skus.map((sku) => line(sku)) });

describe('a step for each item of a list', () => {
  test('runs as many at a time as its limit allows, and continues when all are done', () => {
    const story = given(order(2))
      .whenStarted('A-1', lines('a', 'b', 'c'))
      .expectCommand(reserve, line('a'))
      .expectCommand(reserve, line('b'))
      .expectNoCommand()
      .whenReply('reserve[b]', { shelf: 'B' })
      .expectCommand(reserve, line('c'))
      .whenReply('reserve[a]', { shelf: 'A' })
      .expectNoCommand()
      .whenReply('reserve[c]', { shelf: 'C' })
      .expectCommand(charge, { shelves: { a: 'A', b: 'B', c: 'C' } });
    expect(Object.keys(story.instance.steps)).toEqual([
      'reserve',
      'reserve[a]',
      'reserve[b]',
      'reserve[c]',
      'charge',
    ]);
  });

  test('undoes in reverse what was done, each with its result', () => {
    given(order(1))
      .whenStarted('A-1', lines('a', 'b', 'c'))
      .expectCommand(reserve, line('a'))
      .whenReply('reserve[a]', { shelf: 'A' })
      .expectCommand(reserve, line('b'))
      .whenReply('reserve[b]', { shelf: 'B' })
      .expectCommand(reserve, line('c'))
      .whenRejected('reserve[c]', 'none left')
      .expectCommand(release, { sku: 'b', shelf: 'B' })
      .expectNoCommand()
      .whenReply('reserve[b]')
      .expectCommand(release, { sku: 'a', shelf: 'A' })
      .whenReply('reserve[a]')
      .expectState('COMPENSATED');
  });

  test('undoes running items as well, and finished ones when a later step is rejected', () => {
    given(order(3))
      .whenStarted('A-1', lines('a', 'b'))
      .expectCommand(reserve)
      .expectCommand(reserve)
      .whenReply('reserve[a]', { shelf: 'A' })
      .whenReply('reserve[b]', { shelf: 'B' })
      .expectCommand(charge)
      .whenRejected('charge', 'no money')
      .expectCommand(release, { sku: 'b', shelf: 'B' })
      .expectCommand(release, { sku: 'a', shelf: 'A' })
      .whenReply('reserve[a]')
      .whenReply('reserve[b]')
      .expectState('COMPENSATED');
  });

  test('continues at once if the list is empty', () => {
    given(order(3)).whenStarted('A-1', lines()).expectCommand(charge).expectState('RUNNING');
  });

  test('keeps the list as it was', () => {
    const growing = saga<{ list: string[] }>('growing')
      .parallel((group) =>
        group
          .forEach('each', {
            items: ({ list }) => list,
            key: (item) => item,
            step: { invoke: charge, with: () => ({}) },
          })
          .waitFor<string[], { list: string[] }>('more', { then: (list) => ({ list }) }),
      )
      .build();
    const story = given(growing)
      .whenStarted('G', { list: ['x'] })
      .expectCommand(charge);
    story.whenSignal('more', ['x', 'y', 'z']).expectNoCommand().whenReply('each[x]').expectState('COMPLETED');
  });

  test.each([
    ['two items have one key', ['a', 'a'], 'two of its items have the key a'],
    ['a key is empty', [''], 'must be a string of 1 to 100 characters'],
    ['a key has brackets', ['a[b]'], 'must be a string of 1 to 100 characters'],
    ['a key is a number', [7], 'must be a string of 1 to 100 characters'],
    ['there are too many', Array.from({ length: 1_001 }, (_, n) => `k${n}`), 'the maximum is 1000'],
    ['it is not an array', 'abc', 'must return an array'],
  ])('is stuck if %s', (_, list, why) => {
    const broken = saga<{ list: unknown }>('broken')
      .forEach('each', {
        items: ({ list: items }) => items as string[],
        key: (item) => item,
        step: { invoke: charge, with: () => ({}) },
      })
      .build();
    const story = given(broken).whenStarted('B', { list }).expectState('STUCK').expectNoCommand();
    expect(story.instance.reason).toContain(why);
    story.whenOperator({ type: 'skip', step: 'each' }).expectState('COMPLETED');
  });

  test.each(['constructor', '__proto__', 'toString', 'é'])('takes items by any name: %s', (sku) => {
    const story = given(order(1))
      .whenStarted('A-1', lines(sku))
      .expectCommand(reserve)
      .whenReply(`reserve[${sku}]`, { shelf: 'S' })
      .expectCommand(charge);
    const { reserve: kept } = story.instance.data as { reserve: object };
    expect(JSON.stringify(kept)).toBe(JSON.stringify(Object.fromEntries([[sku, 'S']])));
  });

  test('also runs children and local actions', () => {
    const parcel = saga<{ sku: string }>('parcel').waitFor('sent').build();
    const both = saga<Order>('both')
      .forEach('pack', {
        items: ({ lines: all }) => all,
        key: ({ sku }) => sku,
        local: { run: async ({ sku }) => `packed ${sku}` },
      })
      .forEach('parcel', {
        items: ({ lines: all }) => all,
        key: ({ sku }) => sku,
        child: {
          saga: parcel,
          key: ({ sku }, { orderId }) => `${orderId}/${sku}`,
          with: ({ sku }) => ({ sku }),
          then: () => 'sent' as const,
        },
      })
      .build();
    const story = given(both).whenStarted('A-1', lines('a', 'b'));
    story.whenChildEnds('parcel[a]', 'COMPLETED').whenChildEnds('parcel[b]', 'COMPLETED');
    story.expectState('COMPLETED').expectData({ parcel: { a: 'sent', b: 'sent' } });
  });
});

describe('signals', () => {
  const twice = saga<object>('twice')
    .waitFor<number, { first: number }>('first', { signal: 'paid', then: (first) => ({ first }) })
    .waitFor<number, { second: number }>('second', { signal: 'paid', then: (second) => ({ second }) })
    .waitFor('never', { signal: 'go' })
    .build();

  test('of one name wait in a queue', () => {
    given(twice)
      .whenStarted('S', {})
      .whenSignal('paid', 1)
      .whenSignal('paid', 2)
      .expectData({ first: 1, second: 2 });
    const early = saga<object>('early')
      .step('charge', { invoke: charge, with: () => ({}) })
      .waitFor<number, { first: number }>('first', { signal: 'paid', then: (first) => ({ first }) })
      .waitFor<number, { second: number }>('second', { signal: 'paid', then: (second) => ({ second }) })
      .build();
    given(early)
      .whenStarted('S', {})
      .expectCommand(charge)
      .whenSignal('paid', 1)
      .whenSignal('paid', 2)
      .whenReply('charge')
      .expectState('COMPLETED')
      .expectData({ first: 1, second: 2 });
  });

  test('of one id count once', () => {
    given(twice)
      .whenStarted('S', {})
      .whenSignal('paid', 1, 'evt_1')
      .whenSignal('paid', 1, 'evt_1')
      .expectState('RUNNING')
      .expectData({ first: 1, second: undefined })
      .whenSignal('paid', 2, 'evt_2')
      .expectData({ second: 2 });
  });

  test('that no step awaits are reported, including those left at the end', () => {
    const story = given(twice).whenStarted('S', {}).whenSignal('paid', 1).whenSignal('paid', 2);
    expect(story.unawaited).toEqual([]);
    story.whenSignal('paid', 3);
    expect(story.unawaited).toEqual([['paid', 3]]);
    story.whenSignal('go').expectState('COMPLETED');
    const left = saga<object>('left')
      .step('charge', { invoke: charge, with: () => ({}), then: () => ({ x: 1 }) })
      .waitFor('approval', { when: () => false })
      .build();
    const other = given(left).whenStarted('L', {}).expectCommand(charge).whenSignal('approval', 'yes');
    expect(other.unawaited).toEqual([]);
    other.whenReply('charge').expectState('COMPLETED');
    expect(other.unawaited).toEqual([['approval', 'yes']]);
  });
});

describe('time', () => {
  test('a step sleeps for a time, or until an instant', () => {
    expect(() => saga<object>('sleepy').sleep('hour', -1).build()).toThrow(/step hour: its time/);
    const named = saga<{ at: string }>('sleepy')
      .sleep('hour', 3_600_000)
      .sleep('until', ({ at }) => at)
      .step('charge', { invoke: charge, with: () => ({}) })
      .build();
    given(named)
      .whenStarted('S', { at: '2030-01-01T02:00:00.000Z' })
      .whenTimePasses(3_599_999)
      .expectNoCommand()
      .whenTimePasses(1)
      .expectNoCommand()
      .whenTimePasses(3_599_999)
      .expectNoCommand()
      .whenTimePasses(1)
      .expectCommand(charge);
    // An instant in the past does not wait; an invalid one leaves the saga to an operator.
    given(named)
      .whenStarted('S', { at: '2020-01-01T00:00:00.000Z' })
      .whenTimePasses(3_600_000)
      .expectCommand(charge);
    given(named).whenStarted('S', { at: 'soon' }).whenTimePasses(3_600_000).expectState('STUCK');
  });

  test('a waiting step sends reminders until it is over', () => {
    const mail = sagaCommand<{ n: string }>('mail.remind');
    const waiting = saga<{ orderId: string }>('waiting')
      .waitFor('approval', {
        timeoutMs: 10_000,
        onTimeout: 'continue',
        remind: { everyMs: 3_000, invoke: mail, with: ({ orderId }) => ({ n: orderId }) },
      })
      .build();
    const story = given(waiting).whenStarted('W', { orderId: 'A-1' });
    story.whenTimePasses(2_999);
    expect(story.reminders).toEqual([]);
    story.whenTimePasses(4_000);
    expect(story.reminders).toEqual([
      ['mail.remind', { n: 'A-1' }],
      ['mail.remind', { n: 'A-1' }],
    ]);
    story.whenTimePasses(100_000).expectState('COMPLETED');
    expect(story.reminders).toHaveLength(3);
  });
});

describe('a reply that could not be used', () => {
  test('is applied when an operator retries, without another request or a needless compensation', () => {
    let isMended = false;
    const broken = saga<object>('broken')
      .step('charge', {
        invoke: charge as never,
        with: () => ({}),
        then: (reply: { id: string }) => {
          if (!isMended) throw new TypeError('no such field');
          return { chargeId: reply.id };
        },
      })
      .build();
    const story = given(broken).whenStarted('B', {}).expectCommand(charge);
    story.whenReply('charge', { id: 'c-1' }).expectState('STUCK');
    story.whenOperator({ type: 'retry', step: 'charge' }).expectState('STUCK');
    isMended = true;
    story.whenOperator({ type: 'retry', step: 'charge' }).expectState('COMPLETED');
    story.expectData({ chargeId: 'c-1' }).expectNoCommand();
  });
});

test('errors that are final end the attempts', () => {
  class CardExpired extends Error {}
  const build = (nonRetryable: readonly (string | typeof CardExpired)[]) =>
    saga<object>('final')
      .step('charge', { invoke: charge, with: () => ({}), policy: { nonRetryable } })
      .build();
  given(build(['CARD_EXPIRED']))
    .whenStarted('F', {})
    .expectCommand(charge)
    .whenFailed('charge', 'the service failed (CARD_EXPIRED)')
    .expectState('COMPENSATED');
  given(build([CardExpired]))
    .whenStarted('F', {})
    .expectCommand(charge)
    .whenFailed('charge', 'CardExpired: it is over')
    .expectState('COMPENSATED');
  given(build(['CARD_EXPIRED']))
    .whenStarted('F', {})
    .expectCommand(charge)
    .whenFailed('charge', 'CARD_EXPIRED_SOON')
    .expectState('RUNNING');
  expect(() => build([7 as never])).toThrow(/nonRetryable must be an array/);
});

test('a saga keeps the changes that it started with', () => {
  const before = saga<object>('changing')
    .step('a', { invoke: reserve as never, with: () => ({}) })
    .step('c', { invoke: charge, with: () => ({}) })
    .build();
  const after = saga<object>('changing')
    .step('a', { invoke: reserve as never, with: () => ({}) })
    .step('b', { invoke: release as never, with: () => ({}), patched: 'b-between' })
    .step('c', { invoke: charge, with: () => ({}) })
    .build();
  given(after).whenStarted('N', {}).expectCommand(reserve).whenReply('a').expectCommand(release);
  const old = given(before).whenStarted('O', {}).expectCommand(reserve);
  old.withDefinition(after).whenReply('a').expectCommand(charge).whenReply('c').expectState('COMPLETED');
});

test('a local step may reject, and so may a list item', () => {
  const local = saga<{ list: string[] }>('local')
    .forEach('each', {
      items: ({ list }) => list,
      key: (item) => item,
      local: {
        run: async () => {
          throw new SagaRejectedError('no');
        },
        undo: { run: async () => {} },
      },
    })
    .build();
  given(local)
    .withLocal('each[b]', () => {
      throw new SagaRejectedError('no');
    })
    .whenStarted('L', { list: ['a', 'b', 'c'] })
    .expectState('COMPENSATED');
});
