import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { SagaOperations } from '@waybill/nestjs';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Pool } from 'pg';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const TABLES = `
  create table orders (id text primary key, state text not null, shelf text, reason text);
  create table stock (sku text primary key, pieces int not null, shelf text not null);
  create table reservation (order_id text, sku text, pieces int);
  create table charge (order_id text, pence int);
  insert into stock values ('lantern', 10, 'A7')`;

let database: TestDatabase;
let pool: Pool;
let apps: { orders: INestApplication; others: INestApplication } | undefined;
beforeAll(async () => {
  database = await testDatabase('saga_guide');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query(TABLES);
  process.env['DATABASE_URL'] = database.connectionString;
  const { start } = await import('../../examples/order-saga/main.js');
  apps = await start();
});
afterAll(async () => {
  const own = apps?.orders.get<Pool>(Pool);
  await apps?.orders.close();
  await apps?.others.close();
  await own?.end();
  await pool.end();
  await database.drop();
});

describe('the guide to sagas', () => {
  test.each(['contracts.ts', 'orders.ts', 'stock-and-payments.ts', 'main.ts', 'try-for-real.ts'])(
    'quotes %s exactly',
    (file) => {
      const path = `examples/order-saga/${file}`;
      expect(read('docs/SAGAS.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
    },
  );

  test('quotes the tables that its test creates', () => {
    for (const line of TABLES.trim().split('\n')) expect(read('docs/SAGAS.md')).toContain(line.trim());
  });

  test('an order that can be paid is confirmed, and one that cannot leaves no effect', async () => {
    const { Orders } = await import('../../examples/order-saga/orders.js');
    const orders = apps?.orders.get(Orders);
    const operations = apps?.orders.get(SagaOperations);
    if (orders === undefined || operations === undefined) throw new Error('the services have not started');
    const cheap = await orders.place({ orderId: 'A-1', sku: 'lantern', pieces: 3, pence: 900 });
    const dear = await orders.place({ orderId: 'A-2', sku: 'lantern', pieces: 4, pence: 90_000 });
    const many = await orders.place({ orderId: 'A-3', sku: 'lantern', pieces: 40, pence: 900 });
    const ended = async (): Promise<string[]> =>
      Promise.all([cheap, dear, many].map(async (id) => (await operations.show(id)).state));
    let seen: string[] = [];
    await waitUntil(
      async () => {
        seen = await ended();
        return seen.every((state) => state === 'COMPLETED' || state === 'COMPENSATED');
      },
      { describe: () => `three sagas have ended: ${seen.join(', ')}` },
    );
    expect(seen).toEqual(['COMPLETED', 'COMPENSATED', 'COMPENSATED']);
    expect((await pool.query('select pieces from stock')).rows).toEqual([{ pieces: 7 }]);
    expect((await pool.query('select * from charge')).rows).toEqual([{ order_id: 'A-1', pence: 900 }]);
    expect((await pool.query('select order_id from reservation')).rows).toEqual([{ order_id: 'A-1' }]);
    expect((await pool.query('select * from orders order by id')).rows).toEqual([
      { id: 'A-1', state: 'confirmed', shelf: 'A7', reason: null },
      {
        id: 'A-2',
        state: 'rejected',
        shelf: null,
        reason: 'step charge was rejected: the card has no 90000 pence',
      },
      {
        id: 'A-3',
        state: 'rejected',
        shelf: null,
        reason: 'step reserve was rejected: there are no 40 pieces of lantern',
      },
    ]);
  });

  test('an order runs on the real services', async () => {
    const { tryForReal } = await import('../../examples/order-saga/try-for-real.js');
    const story = await tryForReal(async (connectionString) => {
      const tables = new Pool({ connectionString });
      await tables.query(TABLES);
      await tables.end();
    });
    expect(story).toMatch(/^saga orders.place A-1 .* is COMPLETED/);
    expect(story).toContain('<- reply reserve action done');
  });
});
