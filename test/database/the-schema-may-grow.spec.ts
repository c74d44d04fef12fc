import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Bell } from '@waybill/kernel';
import { Relay } from '@waybill/outbox';
import { Fixture, numbersOf } from '../support/fixture.js';

// A newer release may add columns to every table while this one runs (docs/UPGRADE.md): statements that depend on the number of
// columns would fail then.

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
});
afterAll(() => fixture.close());

/** The databases of the fixture that have a part of the schema. */
const pools = () => [...new Set([fixture.database, fixture.bus])].map(({ pool }) => pool);

async function addColumns(): Promise<void> {
  for (const pool of pools()) {
    const tables = await pool.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('waybill', 'waybill_bus') and c.relkind in ('r', 'p') and not c.relispartition`,
    );
    for (const { name } of tables.rows)
      await pool.query(`alter table ${name} add column added integer default 7`);
  }
}

test('every function can be created again on tables that have one more column', async () => {
  await addColumns();
  let created = 0;
  for (const pool of pools()) {
    const functions = await pool.query<{ definition: string }>(
      `select pg_get_functiondef(p.oid) as definition from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('waybill', 'waybill_bus') and p.prokind = 'f'`,
    );
    for (const { definition } of functions.rows) await pool.query(definition);
    created += functions.rows.length;
  }
  expect(created).toBeGreaterThan(50);
});

test('a row that cannot be moved is set aside, with its values, and the next one is moved', async () => {
  const { database, engine: log } = fixture;
  await database.pool.query(
    `insert into waybill.outbox (message_id, topic, key, headers, payload, signature)
     values (gen_random_uuid(), 'nowhere', 'k', '{"a": "b"}', '{"n": -1}', 's')`,
  );
  await fixture.publish(1);
  const relay = new Relay({ database, log, bell: new Bell() });
  while ((await relay.runOnce()) === 'again');
  const { rows } = await database.pool.query(
    'select topic, key, headers, convert_from(payload, $1) as payload, signature, origin, reason_code as code from waybill.outbox_quarantine',
    ['UTF8'],
  );
  expect(rows).toEqual([
    {
      topic: 'nowhere',
      key: 'k',
      headers: { a: 'b' },
      payload: '{"n": -1}',
      signature: 's',
      origin: 'outbox',
      code: 'TOPIC_UNKNOWN',
    },
  ]);
  expect(numbersOf(await fixture.log())).toEqual([1]);
});

test('every INSERT names its columns', () => {
  const libs = join(import.meta.dirname, '..', '..', 'libs');
  const statements = readdirSync(libs, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sql') && !name.includes('node_modules'))
    .map((name) => [name, readFileSync(join(libs, name), 'utf8')] as const);
  expect(statements.length).toBeGreaterThan(100);
  const unnamed = statements.flatMap(([name, text]) =>
    [...text.matchAll(/^\s*insert into\s+\S+(?:\s+as \w+)?\s+(?!\(|as\b)/gim)].map(
      ({ index }) => `${name}: ${text.slice(index, index + 80)}`,
    ),
  );
  expect(unnamed).toEqual([]);
});
