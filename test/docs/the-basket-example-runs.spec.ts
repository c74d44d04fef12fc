import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { Sagas } from '@waybill/nestjs';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Pool } from 'pg';
import type { Baskets } from '../../examples/baskets/baskets.js';
import type { Line } from '../../examples/baskets/contracts.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const TABLES = `
  create table orders (id text primary key, state text not null, reason text);
  create table payment (order_id text primary key, pence int not null, state text not null, payment_id text);
  create table stock (sku text primary key, pieces int not null, shelf text not null);
  create table reservation (order_id text, sku text, pieces int);
  create table parcel (id text primary key);`;
const STOCK = `truncate stock; insert into stock values ('lantern', 10, 'A7'), ('candle', 100, 'B2'), ('matches', 1, 'C1')`;
const LINES: Line[] = [
  { sku: 'lantern', pieces: 3 },
  { sku: 'candle', pieces: 30 },
];

let database: TestDatabase;
let pool: Pool;
let apps: { baskets: INestApplication; warehouse: INestApplication } | undefined;
let baskets: Baskets;
let sagas: Sagas;
beforeAll(async () => {
  database = await testDatabase('basket_example');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query(TABLES);
  process.env['DATABASE_URL'] = database.connectionString;
  const { start } = await import('../../examples/baskets/main.js');
  const { Baskets: service } = await import('../../examples/baskets/baskets.js');
  apps = await start();
  baskets = apps.baskets.get(service);
  sagas = apps.baskets.get(Sagas);
});
afterAll(async () => {
  const own = apps?.baskets.get<Pool>(Pool);
  await apps?.baskets.close();
  await apps?.warehouse.close();
  await own?.end();
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  await pool.query(STOCK);
});

const place = (orderId: string, lines = LINES): Promise<void> =>
  baskets.place({ orderId, customer: 'ada', pence: 900, lines });
const stateOf = async (sql: string, id: string): Promise<string | undefined> =>
  (await pool.query<{ state: string }>(sql, [id])).rows[0]?.state;
const orderState = (id: string): Promise<string | undefined> =>
  stateOf('select state from orders where id = $1', id);
const paymentState = (id: string): Promise<string | undefined> =>
  stateOf('select state from payment where order_id = $1', id);
const opened = (id: string): Promise<unknown> =>
  waitUntil(async () => (await paymentState(id)) === 'open', { describe: `the payment of ${id} is open` });
const ended = (key: string): Promise<{ readonly state: string; readonly reason: string | null }> =>
  sagas.outcome({ saga: { type: 'orders.basket' }, key });
const pieces = async (): Promise<Record<string, number>> => {
  const { rows } = await pool.query<{ sku: string; pieces: number }>('select sku, pieces from stock');
  return Object.fromEntries(rows.map((row) => [row.sku, row.pieces]));
};

/** The payment provider calls the webhook. */
async function providerSays(orderId: string, id = `event of ${orderId}`): Promise<number> {
  const url = `${await (apps as { baskets: INestApplication }).baskets.getUrl()}/webhooks/payments`;
  const body = JSON.stringify({ id, orderId, paymentId: `payment of ${orderId}` });
  const headers = { 'content-type': 'application/json' };
  return (await fetch(url, { method: 'POST', headers, body })).status;
}

test.each(['contracts.ts', 'place-basket.ts', 'baskets.ts'])('the guide quotes %s exactly', (file) => {
  const path = `examples/baskets/${file}`;
  expect(read('docs/SAGAS.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
});

test('the guide quotes the tables that its test creates', () => {
  for (const line of TABLES.trim().split('\n')) expect(read('docs/SAGAS.md')).toContain(line.trim());
});

test('a basket of several lines is shipped when the webhook reports its payment, however often it comes', async () => {
  await place('B-1');
  await opened('B-1');
  expect(await pieces()).toEqual({ lantern: 7, candle: 70, matches: 1 });
  expect(await Promise.all([providerSays('B-1'), providerSays('B-1')])).toEqual([204, 204]);
  expect(await ended('B-1')).toMatchObject({
    state: 'COMPLETED',
    data: { reserve: { lantern: 'A7', candle: 'B2' }, paymentId: 'payment of B-1', parcel: 'parcel of B-1' },
  });
  expect(await providerSays('B-1')).toBe(204);
  expect(await orderState('B-1')).toBe('shipped');
  expect(await paymentState('B-1')).toBe('paid');
  expect(await pieces()).toEqual({ lantern: 7, candle: 70, matches: 1 });
});

test('a line that is not in stock releases the others, and the order has the reason', async () => {
  await place('B-2', [...LINES, { sku: 'matches', pieces: 2 }]);
  expect(await ended('B-2')).toMatchObject({ state: 'COMPENSATED' });
  const { rows } = await pool.query('select state, reason from orders where id = $1', ['B-2']);
  expect(rows).toEqual([
    { state: 'rejected', reason: 'step reserve[matches] was rejected: there are no 2 pieces of matches' },
  ]);
  expect(await pieces()).toEqual({ lantern: 10, candle: 100, matches: 1 });
  expect(await paymentState('B-2')).toBeUndefined();
});

test('a customer cancels, and what the provider still charges must be paid back', async () => {
  await place('B-3');
  await opened('B-3');
  await baskets.cancel('B-3');
  expect(await ended('B-3')).toMatchObject({ state: 'CANCELLED' });
  expect(await orderState('B-3')).toBe('cancelled');
  expect(await pieces()).toEqual({ lantern: 10, candle: 100, matches: 1 });
  expect(await paymentState('B-3')).toBe('closed');
  expect(await providerSays('B-3')).toBe(204);
  expect(await paymentState('B-3')).toBe('refund due');
});

test('a cancellation after the parcel has left changes nothing', async () => {
  await place('B-4');
  await opened('B-4');
  await providerSays('B-4');
  expect(await ended('B-4')).toMatchObject({ state: 'COMPLETED' });
  await baskets.cancel('B-4');
  expect(await ended('B-4')).toMatchObject({ state: 'COMPLETED' });
  expect(await orderState('B-4')).toBe('shipped');
});
