import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Consumer, resolveSubscription } from '@waybill/consumer';
import { silentLogger } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

const MESSAGES = 2_000;
const CONCURRENCY = 2;

let fixture: Fixture;
let consumer: Consumer | undefined;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
});
afterEach(async () => {
  await consumer?.stop();
  await fixture.close();
});

test('deliveries that store the position leave their permits to those whose stores come before', async () => {
  const { database, engine: log, outbox } = fixture;
  await fixture.transaction((client) =>
    outbox.publishMany(
      client,
      upTo(MESSAGES).map((n) => ({ topic: 'orders', key: `key-${n}`, payload: { n } })),
    ),
  );
  await fixture.moveAll();
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
