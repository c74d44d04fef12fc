import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { type Consumer, resolveSubscription } from '@waybill/consumer';
import { silentLogger } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

const MESSAGES = 2_000;
const CONCURRENCY = 2;
/** How far ahead of the first message others may run, before it is noted that they do. */
const NOTED_AHEAD = 128;

let fixture: Fixture;
let consumer: Consumer | undefined;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
});
afterEach(async () => {
  await consumer?.stop();
  await fixture.close();
});

async function publish(numbers: readonly number[]): Promise<void> {
  await fixture.transaction((client) =>
    fixture.outbox.publishMany(
      client,
      numbers.map((n) => ({ topic: 'orders', key: `key-${n}`, payload: { n } })),
    ),
  );
  await fixture.moveAll();
}

test('deliveries that store the position leave their permits to those whose stores come before', async () => {
  const { database, engine: log } = fixture;
  await publish(upTo(MESSAGES));
  // Stores take long, so that deliveries wait for them.
  await database.pool.query(`
    create function take_time() returns trigger language plpgsql as $$
    begin perform pg_sleep(0.02); return new; end $$;
    create trigger takes_time before insert on waybill.consumer_position for each row execute function take_time()`);
  const handled: number[] = [];
  consumer = consumerOf(
    {
      group: 'shop',
      subscriptions: [
        resolveSubscription(
          'orders',
          async ({ payload }) => {
            handled.push((payload as { n: number }).n);
          },
          { transactionBatch: 1 },
        ),
      ],
      database,
      transactions: runnerOn(database),
      log,
      logger: silentLogger,
    },
    { maxConcurrency: CONCURRENCY },
  );
  await consumer.start();
  await waitUntil(() => handled.length >= MESSAGES, {
    describe: () => `everything is handled, not ${handled.length}`,
    timeoutMs: 30_000,
  });
  expect(handled.toSorted((a, b) => a - b)).toEqual(upTo(MESSAGES));
});

test('a member that leaves waits for no position whose transaction has failed, and leaves nothing in flight', async () => {
  const { database, engine: log } = fixture;
  await database.pool.query(`
    create table gate ();
    create function wait_and_fail() returns trigger language plpgsql as $$
    begin
      perform from gate;
      raise exception using errcode = '40001', message = 'a conflict';
    end $$;
    create trigger waits before insert on waybill.dead_letter for each row execute function wait_and_fail()`);
  const fetch = jest.spyOn(log, 'fetch');
  let isLeaving = false;
  const member = consumerOf({
    group: 'shop',
    subscriptions: [
      resolveSubscription(
        'orders',
        async ({ payload, transaction }) => {
          const { n } = payload as { n: number };
          if (n === 0) throw new Error('it always fails');
          await (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [n]);
        },
        { transactionBatch: 1, retry: { maxAttempts: 1 } },
      ),
    ],
    database,
    transactions: runnerOn(database),
    log,
    logger: silentLogger,
    onRebalancing: () => (isLeaving = true),
  });
  consumer = member;
  const handled = (): Promise<number> => fixture.value('select count(*)::int from effect');
  const shut = await database.pool.connect();
  let stopped: Promise<void> | undefined;
  try {
    await shut.query('begin');
    await shut.query('lock table gate');
    await publish([0]);
    await member.start();
    await waitUntil(
      () =>
        fixture.value("select count(*) > 0 from pg_locks where relation = 'gate'::regclass and not granted"),
      {
        describe: 'the dead letter and the position behind it are being stored',
      },
    );
    await publish(upTo(NOTED_AHEAD + 2).slice(1));
    await waitUntil(async () => (await handled()) === NOTED_AHEAD, {
      describe: 'those that are noted have run',
    });
    // The lane has then begun the one before, which waits.
    await publish([NOTED_AHEAD + 2]);
    await waitUntil(() => fetch.mock.calls.some(([[place]]) => place?.offset === NOTED_AHEAD + 3), {
      describe: 'the next is read',
    });
    expect(await handled()).toBe(NOTED_AHEAD);
    stopped = member.stop();
    await waitUntil(() => isLeaving, { describe: 'it leaves' });
  } finally {
    await shut.query('rollback');
    shut.release();
  }
  await stopped;
  expect(await handled()).toBe(NOTED_AHEAD + 1);
  expect(
    await fixture.value(
      `select (in_flight_end - position)::int from waybill.consumer_position
        order by owner_epoch desc, position desc, id desc limit 1`,
    ),
  ).toBe(0);
});
