import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySchema, MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { drizzle } from 'drizzle-orm/node-postgres';
import knexOf from 'knex';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { placeOrder as byDrizzle } from '../../examples/transactions/drizzle.js';
import { placeOrder as byKnex } from '../../examples/transactions/knex.js';
import { placeOrder as byKysely } from '../../examples/transactions/kysely.js';
import { placeOrder as byMikroOrm } from '../../examples/transactions/mikro-orm.js';
import { placeOrder as byTypeOrm } from '../../examples/transactions/typeorm.js';
import { Fixture } from '../support/fixture.js';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create({ 'orders.placed': {} });
  await fixture.database.pool.query('create table orders (id text primary key)');
});
afterAll(() => fixture.close());

test.each(readdirSync(new URL('examples/transactions/', ROOT)))('the guide quotes %s exactly', (name) => {
  const path = `examples/transactions/${name}`;
  expect(read('docs/TRANSACTIONS.md')).toContain(`<!-- ${path} -->\n\n\`\`\`ts\n${read(path)}\`\`\``);
});

test('and each example writes the order with its message, or neither', async () => {
  const { outbox, url } = fixture;
  const connectionString = url;
  const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
  const pool = new pg.Pool({ connectionString });
  const kysely = new Kysely<{ orders: { id: string } }>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString }) }),
  });
  const knex = knexOf({ client: 'pg', connection: url });
  const orm = await MikroORM.init({
    driver: PostgreSqlDriver,
    clientUrl: url,
    entities: [
      new EntitySchema({
        name: 'Order',
        tableName: 'orders',
        properties: { id: { type: 'text', primary: true } },
      }),
    ],
  });
  const ways: Record<string, (id: string) => Promise<void>> = {
    typeorm: (id) => byTypeOrm(dataSource, outbox, id),
    drizzle: (id) => byDrizzle(drizzle(pool), outbox, id),
    kysely: (id) => byKysely(kysely, outbox, id),
    knex: (id) => byKnex(knex, outbox, id),
    mikro: (id) => byMikroOrm(orm.em.fork(), outbox, id),
  };
  for (const [id, place] of Object.entries(ways)) {
    await place(id);
    await expect(place(id)).rejects.toThrow();
  }
  await fixture.moveAll();
  const keys = (await fixture.log('orders.placed')).map(({ key }) => key);
  expect(keys.toSorted((a, b) => (a ?? '').localeCompare(b ?? ''))).toEqual(
    Object.keys(ways).toSorted((a, b) => a.localeCompare(b)),
  );
  expect(await fixture.value('select count(*)::integer from orders')).toBe(keys.length);
  await Promise.all([dataSource.destroy(), pool.end(), kysely.destroy(), knex.destroy(), orm.close()]);
});
