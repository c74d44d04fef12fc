import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { resolveSubscription } from '@waybill/consumer';
import { statement } from '@waybill/kernel/internal';
import { Waybill } from '@waybill/nestjs';
import type { TransactionHandle } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { ORMS } from './orms.js';

const readSettings = statement<[], { role: string; path: string; xid: string }>(
  'read-settings',
  `select current_setting('role') as role, current_setting('search_path') as path,
          pg_current_xact_id()::text as xid`,
);
const MESSAGES = 12;

let fixture: Fixture;
let role: string;
beforeAll(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  role = `tenant_${process.pid}_${Date.now()}`;
  await fixture.database.pool.query(`create role ${role}`);
  await fixture.database.pool.query(`grant ${role} to current_user`);
  for (let n = 0; n < MESSAGES; n += 1) await fixture.publish(n);
  await fixture.moveAll();
});
afterAll(async () => {
  await fixture.database.pool.query(`drop role ${role}`);
  await fixture.close();
});

test.each(ORMS.filter(({ name }) => name !== 'postgres.js').map((kind) => [kind.name, kind] as const))(
  '%s: settings of one handler of a batch do not reach the next',
  async (name, kind) => {
    const orm = await kind.connect(fixture.url, 3);
    const waybill = new Waybill('default', {
      database: { connectionString: fixture.url },
      relay: false,
      group: `group-${name.toLowerCase().replaceAll(/[^a-z]/g, '-')}`,
      ...(orm.transactions === undefined ? {} : { transactions: orm.transactions }),
    });
    const seen: { role: string; path: string; xid: string }[] = [];
    await waybill.consume({
      subscriptions: [
        resolveSubscription(
          'orders',
          async ({ transaction, session }) => {
            seen.push(...(await session.run(readSettings)));
            const tx = transaction as TransactionHandle;
            await orm.execute(tx, 'set local search_path to pg_catalog');
            await orm.execute(tx, `set local role ${role}`);
          },
          { transactionBatch: 100, batchMs: 10_000, concurrency: 'partition' },
        ),
      ],
    });
    try {
      await waitUntil(() => seen.length >= MESSAGES, { describe: 'all are handled' });
    } finally {
      await waybill.stop();
      await orm.close();
    }
    // They did share transactions: of 1, 2, 4 and 5 messages.
    expect(new Set(seen.map(({ xid }) => xid)).size).toBeLessThan(MESSAGES / 2);
    expect(seen.map(({ role: current, path }) => [current, path])).toEqual(
      Array.from({ length: MESSAGES }, () => ['none', '"$user", public']),
    );
  },
  20_000,
);

test('of an ORM, whose connections may keep other settings, messages share no transaction unawares', async () => {
  const [kind] = ORMS.filter(({ name }) => name === 'Knex');
  if (kind === undefined) throw new Error('there is no such ORM');
  const orm = await kind.connect(fixture.url, 3);
  const waybill = new Waybill('default', {
    database: { connectionString: fixture.url },
    relay: false,
    group: 'group-unasked',
    ...(orm.transactions === undefined ? {} : { transactions: orm.transactions }),
  });
  const seen: string[] = [];
  await waybill.consume({
    subscriptions: [
      resolveSubscription(
        'orders',
        async ({ session }) => {
          seen.push(...(await session.run(readSettings)).map(({ xid }) => xid));
        },
        { batchMs: 10_000, concurrency: 'partition' },
      ),
    ],
  });
  try {
    await waitUntil(() => seen.length >= MESSAGES, { describe: 'all are handled' });
  } finally {
    await waybill.stop();
    await orm.close();
  }
  expect(new Set(seen).size).toBe(MESSAGES);
});
