import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from '@jest/globals';
import { resolveSubscription } from '@waybill/consumer';
import { saga, sagaCommand } from '@waybill/saga';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { HalfFloor } from '../support/half-operations.js';
import { note, SagaFloor } from '../support/saga/sagas.js';

/** One of each kind, in every run; the matrix runs the suites of each with the bus elsewhere. */
const reserve = sagaCommand<{ orderId: string }>('stock.reserve');
const placeOrder = saga<{ orderId: string }>('orders.place')
  .step('reserve', { invoke: reserve, with: (order) => order })
  .local<object, pg.PoolClient>('confirm', {
    run: async (_, { transaction, sagaId }) => {
      await transaction.query(`insert into deed (what, saga) values ('confirm', $1)`, [sagaId]);
      return {};
    },
  })
  .build();

let cluster: EmbeddedPostgres;
let floor: SagaFloor;
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(() => cluster.stop());
beforeEach(async () => {
  floor = await SagaFloor.open([placeOrder] as never, { places: { busServer: cluster.connectionString } });
  await floor.fixture.topics.create('orders');
  const keep = resolveSubscription('orders', async ({ transaction, payload }) => {
    const client = transaction as pg.PoolClient;
    await client.query('insert into deed (what, n) values ($1, $2)', ['order', (payload as { n: number }).n]);
  });
  await floor.consume('shop', [keep]);
});
afterEach(() => floor.close());

async function effects(): Promise<number[]> {
  const { rows } = await floor.database.pool.query<{ n: number }>(
    `select n from deed where what = 'order' order by n`,
  );
  return rows.map(({ n }) => n);
}

test('a message, a timer and a half message take effect once', async () => {
  const { fixture, outbox } = floor;
  await fixture.publish(1);
  await fixture.transaction((tx) => outbox.publish(tx, { topic: 'orders', payload: { n: 2 }, delayMs: 100 }));
  const { halves } = new HalfFloor(fixture);
  await halves.execute({ topic: 'orders', payload: { n: 3 } }, async () => {});
  const rejected = halves.execute({ topic: 'orders', payload: { n: 4 } }, () =>
    Promise.reject(new Error('no')),
  );
  await expect(rejected).rejects.toThrow('no');
  await fixture.publish(5);
  await waitUntil(async () => (await effects()).length >= 4, { describe: 'all have taken effect' });
  expect(await effects()).toEqual([1, 2, 3, 5]);
  expect(await fixture.busValue('select count(distinct source_id)::int from waybill_bus.log_source')).toBe(1);
  expect(await fixture.value(`select to_regnamespace('waybill_bus') is null`)).toBe(true);
});

test('a saga is completed', async () => {
  await floor.serve('stock', { 'stock.reserve': note('reserve') });
  await floor.carry();
  const { id } = await floor.start(placeOrder, 'A-1', { orderId: 'A-1' });
  await floor.until(id, 'COMPLETED');
  expect(await floor.deeds(id)).toEqual(['reserve', 'confirm']);
});
