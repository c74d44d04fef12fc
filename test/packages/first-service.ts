import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { ROOT } from './packing.js';

const read = (name: string): string => readFileSync(join(ROOT, 'examples/first-service', name), 'utf8');

/** Starts the README's service, places an order, and exits once its pieces are taken from the stock. */
const RUN = `import { Pool } from 'pg';
import { start } from './main.js';
import { Shop } from './shop.js';

async function run(): Promise<void> {
  const app = await start();
  const pool = app.get(Pool);
  await app.get(Shop).placeOrder({ id: 'A1', sku: 'lantern', pieces: 3 });
  for (let left = 10; left !== 7; ) {
    const { rows } = await pool.query<{ pieces: number }>('select pieces from stock');
    left = rows[0]?.pieces ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await app.close();
  await pool.end();
  process.stdout.write('delivered\\n');
}

void run();
`;

/** The README's example unchanged, and a program that runs it; for a folder of sources. */
export const FIRST_SERVICE = { 'shop.ts': read('shop.ts'), 'main.ts': read('main.ts'), 'run.ts': RUN };

/** Creates the tables that the example writes. */
export async function prepareFirstService(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  await client.query('create table orders (id text primary key, sku text, pieces int)');
  await client.query('create table stock (sku text primary key, pieces int)');
  await client.query(`insert into stock values ('lantern', 10)`);
  await client.end();
}
