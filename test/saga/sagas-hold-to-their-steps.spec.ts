import { afterEach, describe, expect, test } from '@jest/globals';
import { saga, sagaCommand, type SagaDefinition, SagaRejectedError } from '@waybill/saga';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { eventually, note, SagaFloor } from '../support/saga/sagas.js';

const charge = sagaCommand<object, { chargeId: string }>('payments.charge');
const refund = sagaCommand<object>('payments.refund');
const ship = sagaCommand<object>('shipping.ship');
const quick = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40 };
const by = { by: 'ada', reason: 'mended' };

type Run = (transaction: pg.PoolClient) => Promise<unknown>;

/** A saga of one local step that debits an account, and then resolves to something. */
function debiting(run: Run, options: { timeoutMs?: number; maxAttempts?: number } = {}): SagaDefinition {
  return saga<object>('debit')
    .local<object, pg.PoolClient>('debit', {
      run: async (_, { transaction, sagaId }) => {
        await transaction.query('insert into deed (what, saga) values ($1, $2)', ['debit', sagaId]);
        return (await run(transaction)) as object;
      },
      policy: { ...quick, maxAttempts: 2, ...options },
    })
    .build() as unknown as SagaDefinition;
}

let floor: SagaFloor;
afterEach(() => floor.close());

async function started(definition: SagaDefinition, key = 'A-1'): Promise<string> {
  const { id } = await floor.start(definition as never, key, {});
  return id;
}

describe("a local step's result that cannot be stored", () => {
  class Receipt {
    constructor(readonly id = 'r-1') {}
  }
  test.each<[string, Run]>([
    ['an array', async () => [1, 2]],
    ['a BigInt', async () => ({ n: 1n })],
    ['an instance', async () => new Receipt()],
    ['a result of pg', async (client) => client.query('select 1')],
    ['a Map', async () => new Map([['a', 1]])],
    ['a string', async () => 'done'],
    ['a function', async () => ({ f: () => 1 })],
    [
      'a circular object',
      async () => {
        const self: Record<string, unknown> = {};
        self['self'] = self;
        return self;
      },
    ],
    ['NaN', async () => ({ n: Number.NaN })],
  ])('%s leaves none of its writes, and a retry debits once', async (_, result) => {
    let isMended = false;
    const definition = debiting(async (client) => (isMended ? { ok: true } : result(client)));
    floor = await SagaFloor.open([definition] as never);
    await floor.carry();
    const id = await started(definition);
    await floor.until(id, 'STUCK');
    expect(await floor.deeds(id)).toEqual([]);
    isMended = true;
    await floor.operations.retry(id, 'debit', by);
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds(id)).toEqual(['debit']);
  });
});

describe('a local step that fails', () => {
  test('in a statement whose error it swallows has failed, and counts', async () => {
    const definition = debiting(async (client) => {
      await client.query('select * from no_such_table').catch(() => {});
      return {};
    });
    floor = await SagaFloor.open([definition] as never);
    await floor.carry();
    const id = await started(definition);
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual([]);
    expect((await floor.operations.show(id)).instance.steps['debit']).toMatchObject({ attempt: 2 });
  });

  test.each<[string, unknown]>([
    ['a string', 'trouble'],
    ['undefined', undefined],
    ['an error that looks like a lost connection', Object.assign(new Error('x'), { code: 'ECONNREFUSED' })],
    ['an error that looks like a deadlock', Object.assign(new Error('x'), { code: '40P01' })],
  ])('by throwing %s counts at once', async (_, thrown) => {
    const definition = debiting(async () => {
      throw thrown;
    });
    floor = await SagaFloor.open([definition] as never);
    await floor.carry();
    const id = await started(definition);
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual([]);
    expect((await floor.operations.show(id)).instance.steps['debit']).toMatchObject({ attempt: 2 });
  });

  test.each<[string, Run]>([
    ['never ends', () => new Promise(() => {})],
    ['waits in a statement', (client) => client.query('select pg_sleep(3600)')],
  ])('that %s fails at its time-out, and keeps no other saga waiting', async (_, hang) => {
    const hanging = saga<object>('hanging')
      .step('charge', { invoke: charge, with: () => ({}), undo: { invoke: refund, with: () => ({}) } })
      .local<object, pg.PoolClient>('hang', {
        run: async (__, { transaction }) => (await hang(transaction)) as object,
        policy: { ...quick, timeoutMs: 1_500, maxAttempts: 2 },
      })
      .build();
    const timed = saga<object>('timed').waitFor('nothing', { timeoutMs: 100 }).build();
    floor = await SagaFloor.open([hanging, timed] as never);
    await floor.serve('payments', {
      'payments.charge': note('charge', { chargeId: 'c1' }),
      'payments.refund': note('refund'),
    });
    await floor.carry();
    const id = await started(hanging as never);
    await waitUntil(async () => (await floor.deeds(id)).includes('charge'), {
      describe: 'the charge is made',
    });
    // It hangs now, or soon; time-outs of others fire in between.
    for (let n = 0; n < 5; n += 1) {
      const other = await started(timed as never, `T-${n}`);
      await floor.until(other, 'COMPENSATED');
    }
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual(['charge', 'refund']);
    const { instance } = await floor.operations.show(id);
    expect(instance.steps['hang']).toMatchObject({ status: 'rejected', attempt: 2 });
    expect(instance.reason).toContain('did not end within');
  });
});

describe('a child that cannot be started', () => {
  const child = saga<object>('child').waitFor('go').build();
  test.each<[string, () => string, string]>([
    ['whose key is taken', () => 'taken', 'a saga child with key taken exists already'],
    ['whose key is not storable', () => 'a\0b', 'must be a string of 1 to 255'],
    ['whose key is too long', () => 'x'.repeat(5_000), 'must be a string of 1 to 255'],
    ['whose key is not a string', () => 7 as unknown as string, 'must be a string of 1 to 255'],
    [
      'whose key throws',
      () => {
        throw new TypeError('no number');
      },
      'no number',
    ],
  ])('%s leaves its step to an operator, whose orders still work', async (_, key, why) => {
    const parent = saga<object>('parent')
      .step('charge', { invoke: charge, with: () => ({}) })
      .child('child', { saga: child, key, with: () => ({}) })
      .step('ship', { invoke: ship, with: () => ({}) })
      .build();
    floor = await SagaFloor.open([parent, child] as never);
    await floor.serve('payments', { 'payments.charge': note('charge', { chargeId: 'c1' }) });
    await floor.serve('shipping', { 'shipping.ship': note('ship') });
    await floor.carry();
    await started(child as never, 'taken');
    const id = await started(parent as never);
    await floor.until(id, 'STUCK');
    expect((await floor.operations.show(id)).reason).toContain(why);
    await floor.operations.skip(id, 'child', by);
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds(id)).toEqual(['charge', 'ship']);
  });
});

test('a command that its own transition cancels is not sent: only its compensation is, or nothing', async () => {
  const group = saga<object>('group')
    .parallel((side) =>
      side
        .step('charge', { invoke: charge, with: () => ({}), undo: { invoke: refund, with: () => ({}) } })
        .local('check', {
          run: async () => {
            throw new SagaRejectedError('not allowed');
          },
        })
        .step('ship', { invoke: ship, with: () => ({}) }),
    )
    .build();
  floor = await SagaFloor.open([group] as never);
  const served: string[] = [];
  const noted = (what: string) => async () => void served.push(what);
  await floor.serve('payments', { 'payments.charge': noted('charge'), 'payments.refund': noted('refund') });
  await floor.serve('shipping', { 'shipping.ship': noted('ship') });
  await floor.carry();
  const id = await started(group as never);
  await floor.until(id, 'COMPENSATED');
  const { rows } = await floor.database.pool.query<{ n: number }>(
    `select count(*)::int as n from waybill_bus.log_batch b join waybill.topic_partition p on p.id = b.partition_id
       join waybill.topic t on t.id = p.topic_id where t.name in ('payments.charge', 'shipping.ship')`,
  );
  expect(rows[0]?.n).toBe(0);
  expect(served).toEqual([]);
});

describe('the end of a saga', () => {
  const ending = (run: () => Promise<void> = async () => {}): SagaDefinition =>
    saga<{ orderId: string }>('ending')
      .waitFor<boolean, object>('approval', {
        then: (yes) => {
          if (!yes) throw new SagaRejectedError('not approved');
          return {};
        },
      })
      .onEnd<pg.PoolClient>(
        async ({ state, data, reason, key }, transaction) => {
          await transaction.query('insert into deed (what, saga) values ($1, $2)', [
            `${data.orderId} ${key} ${state} ${reason}`,
            'end',
          ]);
          await run();
        },
        { ...quick, maxAttempts: 2 },
      )
      .build() as unknown as SagaDefinition;

  test('is reported in its own transaction, for every kind of end', async () => {
    const definition = ending();
    floor = await SagaFloor.open([definition] as never);
    await floor.carry();
    const start = (key: string) =>
      floor.start(definition as never, key, { orderId: `order ${key}` } as never);
    const [done, refused, cancelled] = [await start('1'), await start('2'), await start('3')];
    const tell = async (work: (client: pg.PoolClient) => Promise<void>) => floor.fixture.transaction(work);
    await tell((client) => floor.sagas.signal(client, done.id, 'approval', true));
    await tell((client) => floor.sagas.signal(client, refused.id, 'approval', false));
    await tell((client) => floor.sagas.cancel(client, cancelled.id, 'the customer does not want it'));
    await floor.until(done.id, 'COMPLETED');
    await floor.until(refused.id, 'COMPENSATED');
    await floor.until(cancelled.id, 'CANCELLED');
    expect((await floor.deeds('end')).toSorted()).toEqual([
      'order 1 1 COMPLETED null',
      'order 2 2 COMPENSATED step approval: not approved',
      'order 3 3 CANCELLED the customer does not want it',
    ]);
  });

  test('waits until it could be reported: then an operator decides', async () => {
    let isMended = false;
    const definition = ending(async () => {
      if (!isMended) throw new TypeError('no such order');
    });
    floor = await SagaFloor.open([definition] as never);
    await floor.carry();
    const { id } = await floor.start(definition as never, '1', { orderId: '1' } as never);
    await floor.fixture.transaction((client) => floor.sagas.signal(client, id, 'approval', true));
    await floor.until(id, 'STUCK');
    expect((await floor.operations.show(id)).reason).toContain('onEnd: TypeError: no such order');
    expect(await floor.deeds('end')).toEqual([]);
    isMended = true;
    await floor.operations.retry(id, 'onEnd', by);
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds('end')).toEqual(['1 1 COMPLETED null']);
  });
});

describe('an application', () => {
  const paid = saga<object>('paid')
    .step('charge', { invoke: charge, with: () => ({}), undo: { invoke: refund, with: () => ({}) } })
    .waitFor('approval')
    .local('confirm', { run: async () => {}, pivot: true })
    .waitFor<number, { shipped: number }>('shipped', { then: (shipped) => ({ shipped }) })
    .build();

  async function open(): Promise<string> {
    floor = await SagaFloor.open([paid] as never);
    await floor.serve('payments', {
      'payments.charge': note('charge', { chargeId: 'c1' }),
      'payments.refund': note('refund'),
    });
    await floor.carry();
    const id = await started(paid as never);
    await waitUntil(async () => (await floor.deeds(id)).includes('charge'), {
      describe: 'the charge is made',
    });
    return id;
  }

  test.each(['cancel', 'compensate'] as const)(
    'may %s a saga in its transaction, and only if that commits',
    async (what) => {
      const id = await open();
      const rolledBack = floor.fixture.transaction(async (client) => {
        await floor.sagas[what](client, id, 'not wanted');
        throw new Error('the order is not cancelled after all');
      });
      await expect(rolledBack).rejects.toThrow('after all');
      await floor.fixture.transaction((client) => floor.sagas[what](client, id, 'not wanted'));
      await floor.until(id, what === 'cancel' ? 'CANCELLED' : 'COMPENSATED');
      expect(await floor.deeds(id)).toEqual(['charge', 'refund']);
      expect((await floor.operations.show(id)).reason).toBe('not wanted');
    },
  );

  test('learns what came too late: a cancellation after the pivot, a signal after the end', async () => {
    const id = await open();
    const tell = (work: (client: pg.PoolClient) => Promise<void>) => floor.fixture.transaction(work);
    await tell((client) => floor.sagas.signal(client, id, 'approval'));
    await eventually(
      async () => (await floor.operations.show(id)).instance.steps['confirm']?.status === 'done',
    );
    await tell((client) => floor.sagas.cancel(client, id, 'too late'));
    await eventually(async () => (await floor.operations.ignored(id)).length === 1);
    await tell((client) => floor.sagas.signal(client, id, 'shipped', 1, { id: 'evt_1' }));
    await floor.until(id, 'COMPLETED');
    await tell((client) => floor.sagas.signal(client, id, 'shipped', 2, { id: 'evt_2' }));
    await eventually(async () => (await floor.operations.ignored(id)).length === 2);
    expect(await floor.operations.ignored(id)).toMatchObject([
      { kind: 'signal', name: 'shipped', payload: 2, why: 'the saga has ended' },
      { kind: 'cancel', payload: 'too late', why: 'it can only go forward: it has passed its pivot' },
    ]);
  });

  test('gets an error at once for a signal that no step waits for, and for an invalid one', async () => {
    const id = await open();
    const tell = (name: unknown, options = {}): Promise<void> =>
      floor.fixture.transaction((client) => floor.sagas.signal(client, id, name as string, 1, options));
    await expect(tell('aproval')).rejects.toMatchObject({ code: 'SAGA_SIGNAL_UNKNOWN' });
    await expect(tell('constructor')).rejects.toMatchObject({ code: 'SAGA_SIGNAL_UNKNOWN' });
    await expect(tell(7)).rejects.toMatchObject({ code: 'SAGA_INPUT_INVALID' });
    await expect(tell('approval', { id: '' })).rejects.toMatchObject({ code: 'SAGA_INPUT_INVALID' });
    const start = (key: unknown, data: unknown = {}): Promise<unknown> =>
      floor.start(paid as never, key as string, data as never);
    for (const key of ['', 7, null, 'x'.repeat(256), 'a\0b', '\ud800'])
      await expect(start(key)).rejects.toMatchObject({ code: 'SAGA_INPUT_INVALID' });
    for (const data of [null, [], 'text', new Date(), new Map()])
      await expect(start('B-1', data)).rejects.toMatchObject({ code: 'SAGA_INPUT_INVALID' });
    await expect(start('B-1', { n: 1n })).rejects.toMatchObject({ code: 'PAYLOAD_NOT_SERIALIZABLE' });
  });

  test('may send a webhook twice: one id counts once', async () => {
    const queue = saga<object>('queue')
      .waitFor<number, { first: number }>('first', { signal: 'paid', then: (first) => ({ first }) })
      .waitFor<number, { second: number }>('second', { signal: 'paid', then: (second) => ({ second }) })
      .build();
    floor = await SagaFloor.open([queue] as never);
    await floor.carry();
    const id = await started(queue as never);
    for (const [n, name] of [
      [1, 'evt_1'],
      [1, 'evt_1'],
      [2, 'evt_2'],
    ] as const)
      await floor.fixture.transaction((client) => floor.sagas.signal(client, id, 'paid', n, { id: name }));
    await floor.until(id, 'COMPLETED');
    expect((await floor.operations.show(id)).instance.data).toEqual({ first: 1, second: 2 });
  });
});

test('a parent does not undo its child after the pivot of the child: it is stuck', async () => {
  const payment = saga<object>('payment')
    .step('charge', {
      invoke: charge,
      with: () => ({}),
      undo: { invoke: refund, with: () => ({}) },
      pivot: true,
    })
    .build();
  const order = saga<object>('order')
    .child('payment', { saga: payment, key: () => 'P-1', with: () => ({}) })
    .step('ship', { invoke: ship, with: () => ({}), policy: quick })
    .build();
  floor = await SagaFloor.open([payment, order] as never);
  await floor.serve('payments', {
    'payments.charge': note('charge', { chargeId: 'c1' }),
    'payments.refund': note('refund'),
  });
  await floor.serve('shipping', {
    'shipping.ship': async () => {
      throw new SagaRejectedError('no lorry');
    },
  });
  await floor.carry();
  const id = await started(order as never);
  await floor.until(id, 'STUCK');
  expect((await floor.operations.show(id)).reason).toBe('ship: rejected: no lorry');
  expect(await floor.deeds()).toEqual(['charge']);
});
