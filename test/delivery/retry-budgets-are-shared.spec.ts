import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PgDatabase, silentLogger, systemClock } from '@waybill/kernel';
import { migrate } from '@waybill/schema';
import { type RetryBudgetStore } from '@waybill/consumer';
import { PostgresBudgetStore, RedisBudgetStore } from '@waybill/consumer/internal';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { describeWithRedis } from '../support/timers.js';

let created: TestDatabase;
let database: PgDatabase;
let group: { id: number; name: string };
beforeEach(async () => {
  created = await testDatabase('budget');
  await migrate({ connectionString: created.connectionString });
  database = new PgDatabase({ connectionString: created.connectionString });
  const { rows } = await database.pool.query<{ id: number }>(
    `insert into waybill.consumer_group (name) values ('shop') returning id`,
  );
  group = { id: rows[0]?.id ?? 0, name: 'shop' };
});
afterEach(async () => {
  await database.close();
  await created.drop();
});

/**
 * Draws from two stores at once until 60 retries were granted, and checks that against what the limits allow in that
 * time.
 */
async function drawSixty(stores: readonly RetryBudgetStore[]): Promise<void> {
  const started = performance.now();
  let granted = 0;
  const draw = async (store: RetryBudgetStore): Promise<void> => {
    while (granted < 60) granted += await store.draw(group, 2, { perSecond: 100, burst: 20 });
  };
  await Promise.all(stores.map(draw));
  const seconds = (performance.now() - started) / 1_000;
  expect(granted).toBeLessThanOrEqual(20 + 100 * seconds);
}

test('a budget in the database grants what is saved up and what is added, and no more', async () => {
  const stores = [new PostgresBudgetStore(database.session), new PostgresBudgetStore(database.session)];
  await drawSixty(stores);
});

describeWithRedis('a budget in Redis', (server) => {
  test('does so as well, and continues in the database when Redis is gone', async () => {
    const redis = server();
    const make = (): RedisBudgetStore =>
      new RedisBudgetStore(redis.url, '{test}', new PostgresBudgetStore(database.session), {
        clock: systemClock,
        logger: silentLogger,
      });
    const stores = [make(), make()];
    try {
      const kept = async (): Promise<number> =>
        (await database.pool.query('select from waybill.retry_budget')).rowCount ?? 0;
      // A connection takes a moment; until then the database is used.
      await waitUntil(
        async () => {
          await database.pool.query('delete from waybill.retry_budget');
          await Promise.all(stores.map((store) => store.draw(group, 0, { perSecond: 100, burst: 20 })));
          return (await kept()) === 0;
        },
        { describe: 'both are connected' },
      );
      await drawSixty(stores);
      expect(await kept()).toBe(0);
      await redis.kill();
      await drawSixty(stores);
      expect(await kept()).toBe(1);
    } finally {
      for (const store of stores) await store.close();
    }
  });
});
