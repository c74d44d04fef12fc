import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Consumer, resolveSubscription } from '@waybill/consumer';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

const MESSAGES = 400;
const CONCURRENCY = 4;

let fixture: Fixture;
let consumer: Consumer | undefined;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 2 } });
});
afterEach(async () => {
  await consumer?.stop();
  await fixture.close();
});

/** Lets writes of positions fail as on a full disk. */
async function fillDisk(): Promise<() => Promise<unknown>> {
  const { pool } = fixture.database;
  await pool.query(`
    create function fail() returns trigger language plpgsql as $$
    begin
      raise exception using errcode = '53100', message = 'could not extend file: No space left on device';
    end $$;
    create trigger disk_full before insert on waybill.consumer_position for each row execute function fail()`);
  return () => pool.query('drop trigger disk_full on waybill.consumer_position');
}

test('deliveries that wait for a full disk continue when there is space again', async () => {
  const { database, engine: log } = fixture;
  const { pool } = database;
  const effects = async (): Promise<number[]> => {
    const { rows } = await pool.query<{ n: number }>('select n from effect order by n');
    return rows.map(({ n }) => n);
  };
  const warnings: string[] = [];
  consumer = consumerOf(
    {
      group: 'shop',
      subscriptions: [
        // It may be called again: what the disk had no room for is rolled back.
        resolveSubscription('orders', ({ payload, transaction }) =>
          (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [
            (payload as { n: number }).n,
          ]),
        ),
      ],
      database,
      transactions: runnerOn(database),
      log,
      logger: { debug() {}, info() {}, error() {}, warn: (line) => void warnings.push(line) },
    },
    { maxConcurrency: CONCURRENCY, pollMaxMs: 50 },
  );
  await consumer.start();
  await fixture.publish(0);
  await fixture.moveAll();
  await waitUntil(async () => (await effects()).length === 1, { describe: 'the first message is handled' });

  const free = await fillDisk();
  for (let n = 1; n < MESSAGES; n += 1) await fixture.publish(n);
  await fixture.moveAll();
  await waitUntil(() => warnings.some((line) => line.includes('No space left')), {
    describe: 'a position is refused',
  });
  await free();
  await waitUntil(async () => (await effects()).length >= MESSAGES, {
    describe: 'everything is handled',
    timeoutMs: 20_000,
  });
  expect(numbersOf(await fixture.log())).toEqual(upTo(MESSAGES));
  expect(await effects()).toEqual(upTo(MESSAGES));
});
