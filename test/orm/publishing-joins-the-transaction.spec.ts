import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Bell, PgSession } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { joinTransaction, Outbox, Relay, type TransactionHandle } from '@waybill/outbox';
import { Timers } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { type Orm, ORMS } from './orms.js';

const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'TRANSACTION_REQUIRED', message: expect.stringMatching(message) });

describe.each(ORMS)('publishing in a transaction of $name', ({ connect, tellsEnd, seesEnd }) => {
  let fixture: Fixture;
  let orm: Orm<TransactionHandle>;
  beforeAll(async () => {
    fixture = await Fixture.create({ orders: { partitions: 3 } });
    await fixture.database.pool.query('create table business (n integer primary key)');
    orm = await connect(fixture.url, 5);
  });
  afterAll(async () => {
    await orm.close();
    await fixture.close();
  });

  const message = (n: number) => ({ topic: 'orders', key: 'k', payload: { n } });
  const rows = async (...numbers: number[]): Promise<number[]> =>
    (
      await fixture.database.pool.query<{ n: number }>(
        'select n from business where n = any ($1) order by n',
        [numbers],
      )
    ).rows.map(({ n }) => n);
  const published = async (...numbers: number[]): Promise<number[]> => {
    await fixture.moveAll();
    const all = (await fixture.log()).map(({ payload }) => payload.n);
    return all.filter((n) => numbers.includes(n)).toSorted((a, b) => a - b);
  };

  test('commits the message with the business row', async () => {
    const id = await orm.transaction(async (tx) => {
      await orm.insert(tx, 1);
      const sent = await fixture.outbox.publish(tx, { ...message(1), headers: { colour: 'naïve blue' } });
      expect(await published(1)).toEqual([]);
      return sent.id;
    });
    expect(await rows(1)).toEqual([1]);
    expect(await published(1)).toEqual([1]);
    const record = (await fixture.log()).find(({ payload }) => payload.n === 1);
    expect(record).toMatchObject({ id, key: 'k', headers: { colour: 'naïve blue' } });
  });

  test('rolls the message back with the business row', async () => {
    const failing = orm.transaction(async (tx) => {
      await orm.insert(tx, 2);
      await fixture.outbox.publish(tx, message(2));
      throw new Error('rolled back on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect(await rows(2)).toEqual([]);
    expect(await published(2)).toEqual([]);
  });

  test('rolls back only what was published in a nested transaction that is rolled back', async () => {
    await orm.transaction(async (tx) => {
      await fixture.outbox.publish(tx, message(3));
      const inner = orm.nested(tx, async (nested) => {
        await orm.insert(nested, 4);
        await fixture.outbox.publish(nested, message(4));
        throw new Error('rolled back on purpose');
      });
      await expect(inner).rejects.toThrow('on purpose');
      await orm.nested(tx, async (nested) => {
        await orm.insert(nested, 5);
        await fixture.outbox.publish(nested, message(5));
      });
      await orm.insert(tx, 6);
      await fixture.outbox.publish(tx, message(6));
    });
    expect(await rows(3, 4, 5, 6)).toEqual([5, 6]);
    expect(await published(3, 4, 5, 6)).toEqual([3, 5, 6]);
  });

  test('publishes many in order, each to its partition', async () => {
    const numbers = Array.from({ length: 600 }, (_, index) => 10_000 + index);
    await orm.transaction((tx) => fixture.outbox.publishMany(tx, numbers.map(message)));
    await orm.transaction((tx) =>
      fixture.outbox.publishMany(tx, [
        { topic: 'orders', key: null, partition: 2, payload: { n: 7 } },
        { ...message(8), ttlMs: 3_600_000 },
      ]),
    );
    await fixture.moveAll();
    const log = await fixture.log();
    expect(log.map(({ payload }) => payload.n).filter((n) => n >= 10_000)).toEqual(numbers);
    expect(log.find(({ payload }) => payload.n === 7)).toMatchObject({ key: null, partition: 2 });
    expect(log.find(({ payload }) => payload.n === 8)?.headers).toHaveProperty('waybill-expires-at');
  });

  test('cancels and moves messages for later', async () => {
    const later = { delayMs: 3_600_000 };
    const [cancelled, moved] = await orm.transaction(async (tx) => {
      const first = await fixture.outbox.publish(tx, { ...message(20), ...later, timerToken: 'token' });
      const second = await fixture.outbox.publish(tx, { ...message(21), ...later });
      return [first.id, second.id];
    });
    await fixture.moveAll();
    await orm.transaction(async (tx) => {
      await fixture.outbox.cancelTimer(tx, { token: 'token' });
      await fixture.outbox.rescheduleTimer(tx, { id: moved ?? '' }, { delayMs: 7_200_000 });
    });
    await fixture.moveAll();
    const timers = new Timers(fixture.database.session);
    expect(await timers.get(cancelled ?? '')).toBeUndefined();
    const { dueAt } = (await timers.get(moved ?? '')) ?? {};
    expect(dueAt?.getTime()).toBeGreaterThan(Date.now() + 6_000_000);
  });

  test('is refused without an open transaction, naming what was passed', async () => {
    for (const [handle, what] of orm.outside) {
      const tx = handle as TransactionHandle;
      await expect(fixture.outbox.publish(tx, message(30))).rejects.toEqual(refused(what));
      await expect(fixture.outbox.publishMany(tx, [message(30)])).rejects.toEqual(refused(what));
      await expect(fixture.outbox.cancelTimer(tx, { token: 'token' })).rejects.toEqual(refused(what));
      await expect(fixture.outbox.rescheduleTimer(tx, { token: 'token' }, { delayMs: 1 })).rejects.toEqual(
        refused(what),
      );
    }
    expect(await published(30)).toEqual([]);
  });

  test('is refused in a transaction that has failed', async () => {
    const failing = orm.transaction(async (tx) => {
      await orm.execute(tx, 'select 1 / 0').catch(() => undefined);
      await fixture.outbox.publish(tx, message(31));
    });
    await expect(failing).rejects.toEqual(refused(/has already failed/));
  });

  test('is refused when the transaction has ended, even if its connection is in the next one', async () => {
    const small = await connect(fixture.url, 1);
    try {
      const kept: { tx?: TransactionHandle } = {};
      await small.transaction(async (tx) => {
        await fixture.outbox.publish(tx, message(32));
        kept.tx = tx;
      });
      const late = () => fixture.outbox.publish(kept.tx as TransactionHandle, message(33));
      if (seesEnd) {
        await expect(late()).rejects.toEqual(refused(/ended|outside any|without an open/));
        // With pg the client is the handle, and may serve the next transaction.
        if (small.isOwn(kept.tx) && !('release' in kept.tx!))
          await small.transaction(async () => {
            await expect(late()).rejects.toEqual(refused(/ended|outside any|without an open/));
          });
      } else await late().catch(() => undefined);
      expect(await published(32)).toEqual([32]);
    } finally {
      await small.close();
    }
  });

  test('reports errors of the message as pg does', async () => {
    const publish = (topic: string, partition: number) =>
      orm.transaction((tx) => fixture.outbox.publish(tx, { topic, partition, payload: { n: 40 } }));
    await expect(publish('nowhere', 0)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    await expect(publish('orders', 3)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  test('reads and writes every type as pg does', async () => {
    const params = [
      9_007_199_254_740_991,
      -5,
      `it's "quoted" \\ {a,b} ?`,
      '018f4e1e-7b1c-7c00-8000-000000000001',
      JSON.stringify({ a: [1, 'two', null] }),
      Buffer.from([0, 1, 255]),
      new Date('2026-02-03T04:05:06.789Z'),
      true,
      null,
      [1, 2, 3],
      ['x', 'y"z', '{}'],
    ] as const;
    const everything = statement<typeof params, Record<string, unknown>>(
      'everything',
      `select $1::bigint as big, $2::integer as int, $3::text as text, $4::uuid as uuid, $5::jsonb as json,
              $6::bytea as bytes, $7::timestamptz as at, $8::boolean as yes, $9::text as nothing, $10::integer[] as ints,
              $11::text[] as texts, array[$1::bigint] as bigs, '"a text"'::jsonb as json_text, 7::smallint as small`,
    );
    const byPg = new PgSession(fixture.database.pool as never, 'waybill');
    const [expected] = await byPg.run(everything, ...params);
    await orm.transaction(async (tx) => {
      const { session } = joinTransaction(tx, 'waybill', true);
      const [found] = await session.run(everything, ...params);
      expect(found).toEqual(expected);
    });
  });

  test(`rings the bell of the relay ${tellsEnd ? 'when it has committed' : 'at once, as it cannot see the commit'}`, async () => {
    const bells = [new Bell(), new Bell()];
    const rings = [0, 0];
    for (const [index, bell] of bells.entries()) bell.onRing(() => (rings[index] = (rings[index] ?? 0) + 1));
    const [one, other] = bells.map((bell) => new Outbox({ bell }));
    await orm.transaction(async (tx) => {
      await one?.publish(tx, message(50));
      await one?.publish(tx, message(51));
      await other?.publish(tx, message(52));
      expect(rings).toEqual(tellsEnd ? [0, 0] : [2, 1]);
    });
    expect(rings).toEqual(tellsEnd ? [1, 1] : [2, 1]);
  });

  test('is found by the relay at once, however rarely it polls', async () => {
    await fixture.moveAll();
    const bell = new Bell();
    const relay = new Relay({ database: fixture.database, log: fixture.engine, bell }, { pollMaxMs: 60_000 });
    const outbox = new Outbox({ bell });
    relay.service.start();
    try {
      await waitUntil(async () => (await relay.runOnce()) === 'idle', { describe: () => 'nothing is left' });
      const started = performance.now();
      await orm.transaction((tx) => outbox.publish(tx, message(60)));
      await waitUntil(async () => (await fixture.log()).some(({ payload }) => payload.n === 60), {
        describe: () => 'the message is in the log',
      });
      expect(performance.now() - started).toBeLessThan(45_000);
    } finally {
      await relay.service.stop();
    }
  });
});
