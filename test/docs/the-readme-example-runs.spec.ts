import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Pool } from 'pg';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

let database: TestDatabase;
let pool: Pool;
let app: INestApplication | undefined;
beforeAll(async () => {
  database = await testDatabase('readme');
  pool = new Pool({ connectionString: database.connectionString });
  await pool.query('create table orders (id text primary key, sku text, pieces int)');
  await pool.query(
    `create table stock (sku text primary key, pieces int); insert into stock values ('lantern', 10)`,
  );
});
afterAll(async () => {
  const own = app?.get<Pool>(Pool);
  await app?.close();
  await own?.end();
  await pool.end();
  await database.drop();
});

test.each(['examples/first-service/shop.ts', 'examples/first-service/main.ts'])(
  'the README quotes %s exactly',
  (path) => {
    expect(read('README.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
  },
);

test('and the example does what the README says: the order takes its pieces from the stock, once', async () => {
  process.env['DATABASE_URL'] = database.connectionString;
  process.env['PORT'] = '0';
  const { start } = await import('../../examples/first-service/main.js');
  const { Shop } = await import('../../examples/first-service/shop.js');
  app = await start();
  const shop = app.get(Shop);
  await shop.placeOrder({ id: 'A1', sku: 'lantern', pieces: 3 });
  await expect(shop.placeOrder({ id: 'A1', sku: 'lantern', pieces: 3 })).rejects.toThrow(/duplicate key/);
  const pieces = async (): Promise<number> =>
    (await pool.query<{ pieces: number }>('select pieces from stock')).rows[0]?.pieces ?? -1;
  await waitUntil(async () => (await pieces()) === 7, { describe: 'the stock is reserved' });
  await shop.placeOrder({ id: 'A2', sku: 'lantern', pieces: 1 });
  await waitUntil(async () => (await pieces()) === 6, {
    describe: 'the second order took effect, and the first still once',
  });
});
