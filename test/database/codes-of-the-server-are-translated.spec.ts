import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { translateDatabaseError } from '@waybill/kernel';
import { isConnectionLoss, isTransactionConflict } from '@waybill/kernel/internal';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { Fixture } from '../support/fixture.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';

let fixture: Fixture;
let one: pg.Client;
let other: pg.Client;
beforeAll(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  await fixture.database.pool.query('create table business (n int primary key, v int)');
  await fixture.database.pool.query('insert into business values (1, 0), (2, 0)');
});
beforeEach(async () => {
  one = new pg.Client(fixture.url);
  other = new pg.Client(fixture.url);
  for (const client of [one, other]) {
    client.on('error', () => {});
    await client.connect();
  }
});
afterEach(async () => {
  for (const client of [one, other]) await client.end().catch(() => {});
});
afterAll(() => fixture.close());

const bump = (client: pg.Client, n: number): Promise<unknown> =>
  client.query('update business set v = v + 1 where n = $1', [n]);
const run = async (...statements: readonly string[]): Promise<void> => {
  for (const statement of statements) await one.query(statement);
};

/** The error of the real driver, and its translation. */
async function translated(work: () => Promise<unknown>): Promise<{ state: unknown; error: Error }> {
  const error: unknown = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Error);
  return { state: (error as { code?: unknown }).code, error: translateDatabaseError(error, 'Trying') };
}

const CASES: readonly (readonly [state: string, code: string, work: () => Promise<unknown>])[] = [
  [
    '40001',
    'TRANSACTION_CONFLICT',
    async () => {
      await run('begin isolation level repeatable read', 'select * from business');
      await bump(other, 1);
      await bump(one, 1);
    },
  ],
  [
    '40P01',
    'TRANSACTION_CONFLICT',
    async () => {
      for (const [client, n] of [[one, 1] as const, [other, 2] as const]) {
        await client.query('begin');
        await client.query(`set local deadlock_timeout to '20ms'`);
        await bump(client, n);
      }
      const results = await Promise.allSettled([
        bump(one, 2),
        bump(other, 1).then(() => other.query('rollback')),
      ]);
      const failed = results.find(({ status }) => status === 'rejected');
      throw (failed as PromiseRejectedResult).reason;
    },
  ],
  ['42P01', 'MIGRATION_REQUIRED', () => one.query('select * from waybill.no_such_table')],
  ['42883', 'MIGRATION_REQUIRED', () => one.query('select waybill.no_such_function()')],
  ['3F000', 'MIGRATION_REQUIRED', () => one.query('create table no_such_schema.t (n int)')],
  ['26000', 'CONFIGURATION_INVALID', () => one.query('execute no_such_statement')],
  ['42P05', 'CONFIGURATION_INVALID', () => run('prepare twice as select 1', 'prepare twice as select 1')],
  [
    '57014',
    'DATABASE_UNAVAILABLE',
    // Of the transaction: through a pooler the session's would be that of the next case as well.
    () => run('begin', `set local statement_timeout to '20ms'`, 'select pg_sleep(5)'),
  ],
  ['23505', 'DATABASE_REFUSED', () => one.query('insert into business values (1, 1)')],
  ['WB001', 'TOPIC_UNKNOWN', () => one.query(`select waybill.publish('nowhere', 'k', '{}')`)],
  ['WB003', 'FENCED', () => one.query(`select waybill.fence(1, 1, 1, waybill.incarnation())`)],
  [
    'WB004',
    'FENCED',
    () =>
      one.query(
        `select waybill.relay_intend(-5, gen_random_uuid(), gen_random_uuid(), s, s, 0, 0, 0, 0, '{}', 0)
           from pg_current_snapshot() s`,
      ),
  ],
  ['WB006', 'MESSAGE_INVALID', () => one.query(`select waybill.known_topic('orders', 99)`)],
  [
    'WB007',
    'CLUSTER_CHANGED',
    () =>
      run(
        'begin',
        'update waybill.relay_intent set system_identifier = 1',
        'select waybill.relay_begin(10, 1000)',
      ),
  ],
  [
    'WB009',
    'ISOLATION_LEVEL',
    () =>
      run(
        'begin isolation level repeatable read',
        `select waybill.message_enter('c', 'id', null, 1000, 1000, 1000)`,
      ),
  ],
  [
    'WB011',
    'SUBJECT_ERASED',
    async () => {
      await one.query(`select waybill.destroy_subject_keys('\\x01')`);
      await one.query(`select waybill.keep_subject_key('\\x01', gen_random_uuid(), '\\x02')`);
    },
  ],
  ['WB020', 'BARRIER_NAME_INVALID', () => one.query(`select waybill.barrier_slot('no uuid', 0, 1000)`)],
];

test.each(CASES)('%s is reported as %s', async (state, code, work) => {
  const found = await translated(work);
  expect(found).toMatchObject({ state, error: { code } });
  expect(isTransactionConflict(found.error)).toBe(code === 'TRANSACTION_CONFLICT');
  expect(found.error.message).toMatch(/\.$/);
});

test('a connection that is cut, before or during a statement, is reported as unavailable', async () => {
  const proxy = await TcpProxy.start(fixture.url);
  const client = new pg.Client(proxy.url);
  client.on('error', () => {});
  try {
    await client.connect();
    const sleeping = translated(() => client.query('select pg_sleep(5)'));
    await waitUntil(
      async () =>
        (await fixture.value(
          `select count(*)::int from pg_stat_activity where query = 'select pg_sleep(5)' and state = 'active'`,
        )) === 1,
      { describe: 'it runs' },
    );
    proxy.cut();
    for (const { error } of [await sleeping, await translated(() => client.query('select 1'))]) {
      expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      expect(isConnectionLoss(error)).toBe(true);
    }
  } finally {
    await proxy.close();
  }
});

test('P2028, an ended Prisma transaction, is reported as no transaction', async () => {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: fixture.url }) });
  try {
    let kept: { $queryRawUnsafe(text: string): Promise<unknown> } | undefined;
    await prisma.$transaction(async (tx) => {
      kept = tx;
    });
    const { state, error } = await translated(async () => kept?.$queryRawUnsafe('select 1'));
    expect(state).toBe('P2028');
    expect(error).toMatchObject({ code: 'TRANSACTION_REQUIRED' });
  } finally {
    await prisma.$disconnect();
  }
});
