import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import type { CrashPoint, SagaTestEnvironment } from '@waybill/testing/saga';
import { Orders } from '../../examples/order-saga/orders.js';
import { createTables, environment, orderServices, runSql, standingOf } from '../support/tested-shop.js';

type Name = keyof typeof orderServices;

// After a crash behind the commit the other services reply in the meantime: then only its own writes are compared.
/** The order under test, and its rows when services were restarted. */
let orderId = '';
const atRestart: unknown[] = [];

/** A service that records what its crash has left, before it is started. */
const watched =
  (name: Name) =>
  async (url: string): Promise<INestApplication> => {
    atRestart.push(await standingOf(url, orderId));
    return orderServices[name](url);
  };

let env: SagaTestEnvironment<Record<Name, (url: string) => Promise<INestApplication>>>;
beforeAll(async () => {
  const services = { orders: watched('orders'), stock: watched('stock'), payments: watched('payments') };
  env = await environment({ setUp: createTables, services });
});
afterAll(() => env.close());

const NOTHING = { reserved: [], charged: [], state: 'placed' };
const REJECTED = { ...NOTHING, state: 'rejected' };
const RESERVED = { reserved: [1], charged: [], state: 'placed' };
const CHARGED = { reserved: [1], charged: [900], state: 'placed' };
const CONFIRMED = { ...CHARGED, state: 'confirmed' };

const forward: readonly [Name, CrashPoint, unknown][] = [
  ['stock', { at: 'reserve', when: 'before-action' }, NOTHING],
  ['stock', { at: 'reserve', when: 'before-commit' }, NOTHING],
  ['stock', { at: 'reserve', when: 'after-commit' }, { reserved: [1] }],
  ['payments', { at: 'charge', when: 'before-action' }, RESERVED],
  ['payments', { at: 'charge', when: 'before-commit' }, RESERVED],
  ['payments', { at: 'charge', when: 'after-commit' }, { charged: [900] }],
  ['orders', { transition: 'reserve', when: 'before-commit' }, RESERVED],
  ['orders', { transition: 'confirm', when: 'before-commit' }, CHARGED],
  ['orders', { transition: 'confirm', when: 'after-commit' }, CONFIRMED],
];
const backward: readonly [Name, CrashPoint, unknown][] = [
  ['stock', { at: 'reserve', op: 'compensate', when: 'before-action' }, RESERVED],
  ['stock', { at: 'reserve', op: 'compensate', when: 'before-commit' }, RESERVED],
  ['stock', { at: 'reserve', op: 'compensate', when: 'after-commit' }, { reserved: [] }],
  ['orders', { transition: 'charge', when: 'before-commit' }, RESERVED],
  ['orders', { transition: 'reserve', op: 'compensate', when: 'before-commit' }, NOTHING],
  ['orders', { transition: 'reserve', op: 'compensate', when: 'after-commit' }, REJECTED],
];
const cases = [
  ...forward.map((one) => [...one, 900, 'COMPLETED', CONFIRMED] as const),
  ...backward.map((one) => [...one, 90_000, 'COMPENSATED', REJECTED] as const),
];

test.each(cases)('%s crashes exactly at %j', async (name, point, left, pence, end, stands) => {
  orderId = `${name} ${JSON.stringify(point)}`;
  atRestart.length = 0;
  const crash = await env.crash(name, point);
  await env.service('orders').get(Orders).place({ orderId, sku: 'lantern', pieces: 1, pence });
  await crash.happened();
  expect(atRestart).toMatchObject([left]);
  await env.until('orders.place', orderId, end);
  await env.quiet();
  expect(await standingOf(env.connectionString, orderId)).toEqual(stands);
});

test('the sums agree after all of these crashes', async () => {
  const sums = 'select (select pieces from stock) + (select sum(pieces) from reservation) as pieces';
  expect(await runSql(env.connectionString, sums)).toEqual([{ pieces: '10' }]);
});
