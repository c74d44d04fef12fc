import { afterEach, describe, expect, test } from '@jest/globals';
import type { Delivery } from '@waybill/consumer';
import {
  type LocalContext,
  saga,
  sagaCommand,
  SagaRejectedError,
  SagaRetention,
  tcc,
  tccBranch,
} from '@waybill/saga';
import type pg from 'pg';
import { DAY_MS, idOf } from '../support/message-guard.js';
import { eventually, note, SagaFloor, type Work } from '../support/saga/sagas.js';

interface Order {
  readonly orderId: string;
  readonly pence: number;
}

const reserve = sagaCommand<{ orderId: string }, { shelf: number }>('stock.reserve');
const release = sagaCommand<{ orderId: string; shelf: number | undefined }>('stock.release');
const charge = sagaCommand<{ orderId: string; pence: number }, { chargeId: string }>('payments.charge');
const refund = sagaCommand<{ chargeId: string | undefined }>('payments.refund');
const ship = sagaCommand<{ orderId: string; shelf: number }>('shipping.ship');

const quick = { timeoutMs: 60_000, delayMs: 20, maxDelayMs: 40 };

const placeOrder = saga<Order>('orders.place')
  .step('reserve', {
    invoke: reserve,
    with: ({ orderId }) => ({ orderId }),
    then: ({ shelf }) => ({ shelf }),
    undo: { invoke: release, with: ({ orderId, shelf }) => ({ orderId, shelf }), policy: quick },
    policy: quick,
  })
  .step('charge', {
    invoke: charge,
    with: ({ orderId, pence }) => ({ orderId, pence }),
    then: ({ chargeId }) => ({ chargeId }),
    undo: { invoke: refund, with: ({ chargeId }) => ({ chargeId }), policy: { ...quick, maxAttempts: 2 } },
    policy: quick,
  })
  .step('ship', {
    invoke: ship,
    with: ({ orderId, shelf }) => ({ orderId, shelf }),
    pivot: true,
    policy: quick,
  })
  .local<{ confirmed: boolean }, pg.PoolClient>('confirm', {
    run: async ({ orderId }, { transaction, sagaId }) => {
      await transaction.query('insert into deed (what, saga) values ($1, $2)', [
        `confirm ${orderId}`,
        sagaId,
      ]);
      return { confirmed: true };
    },
  })
  .build();

const order = { orderId: 'A-1', pence: 500 };
const reject = (reason: string) => async (): Promise<never> => {
  throw new SagaRejectedError(reason);
};

describe('a saga over three services', () => {
  let floor: SagaFloor;
  afterEach(() => floor.close());

  test('passes data from replies to commands, and is completed', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    const shipped: unknown[] = [];
    await floor.serve('stock', { 'stock.reserve': note('reserve', { shelf: 7 }) });
    await floor.serve('payments', { 'payments.charge': note('charge', { chargeId: 'c1' }) });
    await floor.serve('shipping', {
      'shipping.ship': async (delivery, client) => {
        shipped.push(delivery.payload);
        return note('ship')(delivery, client);
      },
    });
    await floor.carry();
    const { id, created } = await floor.start(placeOrder, 'A-1', order);
    expect(created).toBe(true);
    await floor.until(id, 'COMPLETED');
    expect(await floor.deeds(id)).toEqual(['reserve', 'charge', 'ship', 'confirm A-1']);
    expect(shipped).toEqual([{ orderId: 'A-1', shelf: 7 }]);
    const { instance, timeline } = await floor.operations.show(id);
    expect(instance.data).toEqual({ ...order, shelf: 7, chargeId: 'c1', confirmed: true });
    expect(timeline.map(({ state }) => state)).toEqual(['RUNNING', 'RUNNING', 'RUNNING', 'COMPLETED']);
    // Starting it again, even when it has ended, finds it.
    expect(await floor.start(placeOrder, 'A-1', order)).toEqual({ id, created: false });
  });

  test('is undone in reverse when a step is rejected, except the rejected step', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    await floor.serve('stock', {
      'stock.reserve': note('reserve', { shelf: 7 }),
      'stock.release': note('release'),
    });
    await floor.serve('payments', {
      'payments.charge': note('charge', { chargeId: 'c1' }),
      'payments.refund': note('refund'),
    });
    await floor.serve('shipping', { 'shipping.ship': reject('no lorry') });
    await floor.carry();
    const { id } = await floor.start(placeOrder, 'A-1', order);
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual(['reserve', 'charge', 'refund', 'release']);
    expect((await floor.operations.show(id)).reason).toBe('step ship was rejected: no lorry');
  });

  test('copies of commands change nothing, whether the command was done or rejected', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    const commands: Delivery[] = [];
    let lorries = 0;
    const kept =
      (work: Work): Work =>
      (delivery, client) => {
        commands.push(delivery);
        return work(delivery, client);
      };
    await floor.serve('stock', {
      'stock.reserve': kept(note('reserve', { shelf: 7 })),
      'stock.release': note('release'),
    });
    await floor.serve('payments', {
      'payments.charge': note('charge', { chargeId: 'c1' }),
      'payments.refund': note('refund'),
    });
    // A copy would find a lorry.
    const ship: Work = (delivery, client) => {
      lorries += 1;
      if (lorries === 1) throw new SagaRejectedError('no lorry');
      return note('ship')(delivery, client);
    };
    await floor.serve('shipping', { 'shipping.ship': kept(ship) });
    await floor.carry();
    const { id } = await floor.start(placeOrder, 'A-1', order);
    await floor.until(id, 'COMPENSATED');
    const before = await floor.deeds();
    // After the copies, in the same order: when it is done, so are they.
    const copies = commands.map(({ topic, key, control, payload }) =>
      floor.outbox.encodeControl({ topic, key, control, payload }),
    );
    const last = { ...order, orderId: 'A-2' };
    await floor.fixture.transaction((client) => floor.outbox.publishEncoded(client, copies));
    const { id: next } = await floor.start(placeOrder, 'A-2', last);
    await floor.until(next, 'COMPLETED');
    await eventually(async () => (await floor.handled('shipping.ship')) === 3);
    expect((await floor.deeds()).filter((what) => !what.startsWith('confirm'))).toEqual(
      before.concat('reserve', 'charge', 'ship'),
    );
  });

  test('a start that is rolled back never happens', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    await floor.serve('stock', { 'stock.reserve': note('reserve', { shelf: 7 }) });
    await floor.carry();
    const lost = floor.fixture.transaction(async (client) => {
      await floor.sagas.start(client, placeOrder, { key: 'lost', data: order });
      throw new Error('changed my mind');
    });
    await expect(lost).rejects.toThrow('changed my mind');
    const { id } = await floor.start(placeOrder, 'kept', order);
    await eventually(async () => (await floor.deeds(id)).length === 1);
    expect(await floor.deeds()).toEqual(['reserve']);
  });

  test('a command that becomes a dead letter is retried, and its step is undone when the attempts are spent', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    let calls = 0;
    await floor.serve('stock', {
      'stock.reserve': note('reserve', { shelf: 7 }),
      'stock.release': note('release'),
    });
    await floor.serve('payments', {
      'payments.charge': async () => {
        calls += 1;
        throw new Error('the gateway is down');
      },
      'payments.refund': note('refund'),
    });
    await floor.carry();
    const { id } = await floor.start(placeOrder, 'A-1', order);
    await floor.until(id, 'COMPENSATED');
    // Three commands, each with three attempts. The charge never happened, so there is nothing to refund.
    expect(calls).toBe(9);
    expect(await floor.deeds(id)).toEqual(['reserve', 'release']);
  });

  test('is stuck when a compensation fails for good, and an operator decides', async () => {
    floor = await SagaFloor.open([placeOrder] as never);
    let broken = true;
    await floor.serve('stock', {
      'stock.reserve': note('reserve', { shelf: 7 }),
      'stock.release': note('release'),
    });
    await floor.serve('payments', {
      'payments.charge': note('charge', { chargeId: 'c1' }),
      'payments.refund': async (delivery, client) => {
        if (broken) throw new Error('no refunds today');
        return note('refund')(delivery, client);
      },
    });
    await floor.serve('shipping', { 'shipping.ship': reject('no lorry') });
    await floor.carry();
    const { id } = await floor.start(placeOrder, 'A-1', order);
    await floor.until(id, 'STUCK');
    const { revision } = await floor.operations.show(id);
    const stale = floor.operations.skip(id, 'charge', { by: 'eve' }, { revision: revision - 1 });
    await expect(stale).rejects.toMatchObject({ code: 'SAGA_ORDER_REFUSED' });
    broken = false;
    await floor.operations.retry(id, 'charge', { by: 'ada', reason: 'refunds work again' });
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual(['reserve', 'charge', 'refund', 'release']);
    const { actions } = await floor.operations.show(id);
    expect(actions.map(({ by, action, outcome }) => [by, action, outcome])).toEqual([
      ['ada', 'saga.retry', 'applied'],
      ['eve', 'saga.skip', 'refused'],
    ]);
  });

  test('after its pivot it only goes forward: an operator resolves what is rejected there', async () => {
    const late = sagaCommand<object, { label: string }>('shipping.label');
    const onward = saga<Order>('orders.onward')
      .step('charge', {
        invoke: charge,
        with: (data) => data,
        undo: { invoke: refund, with: () => ({ chargeId: undefined }) },
        pivot: true,
      })
      .step('label', { invoke: late, with: () => ({}), then: ({ label }) => ({ label }) })
      .build();
    floor = await SagaFloor.open([onward] as never);
    await floor.serve('payments', { 'payments.charge': note('charge', { chargeId: 'c1' }) });
    await floor.serve('shipping', { 'shipping.label': reject('out of paper') });
    await floor.carry();
    const { id } = await floor.start(onward, 'A-1', order);
    await floor.until(id, 'STUCK');
    const refused = floor.operations.cancel(id, { by: 'eve' });
    await expect(refused).rejects.toMatchObject({ code: 'SAGA_ORDER_REFUSED' });
    await floor.operations.resolve(id, 'label', { label: 'by hand' }, { by: 'ada' });
    await floor.until(id, 'COMPLETED');
    expect((await floor.operations.show(id)).instance.data).toMatchObject({ label: 'by hand' });
  });
});

describe('steps of other kinds', () => {
  let floor: SagaFloor;
  afterEach(() => floor.close());

  test('wait for a signal, which may come early, or for a time-out', async () => {
    const approval = saga<Order>('orders.approve')
      .step('charge', { invoke: charge, with: (data) => data })
      .waitFor<{ by: string }, { approvedBy: string }>('approval', { then: ({ by }) => ({ approvedBy: by }) })
      .waitFor('cooling-off', { timeoutMs: 100, onTimeout: 'continue' })
      .build();
    floor = await SagaFloor.open([approval] as never);
    await floor.serve('payments', { 'payments.charge': note('charge', {}) });
    await floor.carry();
    const { id } = await floor.start(approval, 'A-1', order);
    await floor.fixture.transaction((client) =>
      floor.sagas.signal(client, { saga: approval, key: 'A-1' }, 'approval', { by: 'ada' }),
    );
    await floor.until(id, 'COMPLETED');
    expect((await floor.operations.show(id)).instance.data).toMatchObject({ approvedBy: 'ada' });
  });

  test('a child saga is awaited, and undone with its parent', async () => {
    const pack = saga<{ orderId: string }>('orders.pack')
      .step('reserve', {
        invoke: reserve,
        with: (data) => data,
        then: ({ shelf }) => ({ shelf }),
        undo: { invoke: release, with: ({ orderId, shelf }) => ({ orderId, shelf }) },
      })
      .build();
    const parent = saga<Order>('orders.parent')
      .child('pack', {
        saga: pack,
        key: ({ orderId }) => orderId,
        with: ({ orderId }) => ({ orderId }),
        then: ({ shelf }) => ({ shelf }),
      })
      .step('ship', { invoke: ship, with: (data) => data })
      .build();
    floor = await SagaFloor.open([pack, parent] as never);
    await floor.serve('stock', {
      'stock.reserve': note('reserve', { shelf: 7 }),
      'stock.release': note('release'),
    });
    await floor.serve('shipping', { 'shipping.ship': reject('no lorry') });
    await floor.carry();
    const { id } = await floor.start(parent, 'A-1', order);
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds()).toEqual(['reserve', 'release']);
    const children = await floor.operations.list({ states: ['COMPENSATED'], type: 'orders.pack' });
    expect(children).toMatchObject([{ parentId: id, key: 'A-1' }]);
  });

  test('a child that outlives its parent is moved to the ended ones, and old ones are removed in whole slots', async () => {
    const pack = saga<{ orderId: string }>('orders.pack').waitFor('packed').build();
    const parent = saga<Order>('orders.parent')
      .child('pack', { saga: pack, key: ({ orderId }) => orderId, with: ({ orderId }) => ({ orderId }) })
      .build();
    floor = await SagaFloor.open([pack, parent] as never);
    await floor.carry();
    const { id } = await floor.start(parent, 'A-1', order);
    const [child] = await floor.operations.list({ type: 'orders.pack' });
    await floor.operations.skip(id, 'pack', { by: 'ada' });
    await floor.until(id, 'COMPLETED');
    await floor.fixture.transaction((client) => floor.sagas.signal(client, child?.id ?? '', 'packed'));
    await floor.until(child?.id ?? '', 'COMPLETED');
    const count = (table: string): Promise<number> =>
      floor.fixture.value(`select count(*)::int from waybill.${table}`);
    expect(await count('saga')).toBe(1);
    await new SagaRetention(floor.database).runOnce();
    expect([await count('saga'), await count('saga_ended')]).toEqual([0, 2]);
    // Young ones stay, and so does a slot with a running saga.
    await new SagaRetention(floor.database, { endedMs: 60_000 }).runOnce();
    expect(await count('saga_ended')).toBe(2);
    const { id: waiting } = await floor.start(pack, 'B-1', { orderId: 'B-1' });
    await new SagaRetention(floor.database, { endedMs: 0 }).runOnce();
    expect(await count('saga_ended')).toBe(2);
    await floor.fixture.transaction((client) => floor.sagas.signal(client, waiting, 'packed'));
    await floor.until(waiting, 'COMPLETED');
    await new SagaRetention(floor.database, { endedMs: 0 }).runOnce();
    expect([await count('saga_ended'), await count('saga_transition')]).toEqual([0, 0]);
  });

  test('a saga that takes years keeps no other that ended in that time', async () => {
    floor = await SagaFloor.open([]);
    const { pool } = floor.database;
    const days = (n: number): number => Date.now() - n * DAY_MS;
    const old = idOf(days(200));
    const end = async (ms: number, endedMs: number): Promise<string> => {
      const id = idOf(ms);
      const [slot, at] = [Math.floor(ms / (4 * DAY_MS)) % 16, new Date(endedMs)];
      await pool.query(
        `insert into waybill.saga_ended (slot, id, saga_type, definition_version, saga_key, reply_topic, state, revision,
                                         started_at, ended_at, content) values ($1, $2, 't', 1, $4, 'r', 4, 2, $3, $3, '{}')`,
        [slot, id, at, id],
      );
      await pool.query(
        `insert into waybill.saga_transition (slot, saga_id, revision, at, state, content)
         select $1, $2, n, $3, 4, '{}' from generate_series(1, 2) n`,
        [slot, id, at],
      );
      return id;
    };
    await pool.query(
      `insert into waybill.saga (id, saga_type, definition_version, saga_key, reply_topic, state, started_at, changed_at, content)
       values ($1, 't', 1, 'long', 'r', 1, now(), now(), '{}')`,
      [old],
    );
    // In its slot: sagas of the same time, of later laps of the ring, and those that must stay.
    await end(days(200), days(190));
    await end(days(200 - 64), days(100));
    const kept = [await end(days(200 - 64), days(29)), await end(days(200 - 192), days(7))];
    // In a slot delayed only by one that ended late.
    await end(days(150), days(149));
    kept.push(await end(days(150), days(2)));
    await new SagaRetention(floor.database).runOnce();
    const left = await pool.query<{ id: string }>('select id from waybill.saga_ended order by id');
    expect(left.rows.map(({ id }) => id)).toEqual(kept.toSorted());
    expect(await floor.fixture.value('select count(*)::int from waybill.saga_transition')).toBe(
      2 * kept.length,
    );
  });

  test('local actions in parallel: a failed one leaves nothing, and those that it cancels no longer run', async () => {
    const local =
      (what: string) =>
      async (_data: object, { transaction, sagaId }: LocalContext<pg.PoolClient>) => {
        await transaction.query('insert into deed (what, saga) values ($1, $2)', [what, sagaId]);
        return {};
      };
    const undo = (what: string) => async (data: object, context: LocalContext<pg.PoolClient>) => {
      await local(what)(data, context);
    };
    const pack = saga<{ orderId: string }>('orders.pack')
      .parallel((group) =>
        group
          .local<object, pg.PoolClient>('weigh', { run: local('weigh'), undo: { run: undo('unweigh') } })
          .local<object, pg.PoolClient>('check', {
            run: async (data, context) => {
              await local('half a check')(data, context);
              throw new SagaRejectedError('broken');
            },
          })
          .local<object, pg.PoolClient>('label', { run: local('label'), undo: { run: undo('unlabel') } })
          .step('reserve', { invoke: reserve, with: ({ orderId }) => ({ orderId }) }),
      )
      .build();
    floor = await SagaFloor.open([pack] as never);
    await floor.serve('stock', { 'stock.reserve': note('reserve', { shelf: 7 }) });
    await floor.carry();
    const { id } = await floor.start(pack, 'A-1', { orderId: 'A-1' });
    await floor.until(id, 'COMPENSATED');
    expect(await floor.deeds(id)).toEqual(['weigh', 'unweigh']);
  });

  test('TCC cancels every branch when one is rejected, in parallel', async () => {
    const call = (name: string) => sagaCommand<{ trip: string }, object>(name);
    const branch = (name: string) =>
      tccBranch<{ trip: string }, { trip: string }, object>({
        try: call(`${name}.try`),
        confirm: call(`${name}.confirm`),
        cancel: call(`${name}.cancel`),
        with: ({ trip }) => ({ trip }),
      });
    const trip = tcc<{ trip: string }>('trip', { flight: branch('flight'), hotel: branch('hotel') });
    floor = await SagaFloor.open([trip] as never);
    let full = true;
    const works = (name: string) => ({
      [`${name}.try`]: note(`${name} try`),
      [`${name}.confirm`]: note(`${name} confirm`),
      [`${name}.cancel`]: note(`${name} cancel`),
    });
    await floor.serve('flight', works('flight'));
    await floor.serve('hotel', {
      ...works('hotel'),
      'hotel.try': async (delivery, client) => {
        if (full) throw new SagaRejectedError('full');
        return note('hotel try')(delivery, client);
      },
    });
    await floor.carry();
    const { id } = await floor.start(trip, 'T-1', { trip: 'T-1' });
    await floor.until(id, 'COMPENSATED');
    expect((await floor.deeds(id)).filter((deed) => deed.endsWith('confirm'))).toEqual([]);
    const tried = (await floor.deeds(id)).includes('flight try');
    expect((await floor.deeds(id)).includes('flight cancel')).toBe(tried);
    full = false;
    const { id: second } = await floor.start(trip, 'T-2', { trip: 'T-2' });
    await floor.until(second, 'COMPLETED');
    expect((await floor.deeds(second)).toSorted()).toEqual([
      'flight confirm',
      'flight try',
      'hotel confirm',
      'hotel try',
    ]);
  });
});
