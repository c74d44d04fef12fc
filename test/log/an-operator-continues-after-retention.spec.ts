import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Consumer, resolveSubscription } from '@waybill/consumer';
import { PgTransactionRunner } from '@waybill/kernel';
import { groupLag, LogRetention } from '@waybill/log/postgres';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';

let fixture: Fixture;
const consumers: Consumer[] = [];
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
});
afterEach(async () => {
  for (const consumer of consumers.splice(0)) await consumer.stop();
  await fixture.close();
});

async function consume(handled: number[]): Promise<Consumer> {
  const { database, engine: log } = fixture;
  const consumer = new Consumer({
    group: 'shop',
    subscriptions: [
      resolveSubscription('orders', async ({ payload }) => void handled.push((payload as { n: number }).n)),
    ],
    database,
    transactions: new PgTransactionRunner(database),
    log,
  });
  consumers.push(consumer);
  await consumer.start();
  return consumer;
}

/** The statements of the document, for this test's topic: where the log starts, and the position that is put there. */
function documented(): string[] {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'OPERATIONS.md'), 'utf8');
  const section = text.slice(text.indexOf('### A group has lost records'));
  const statements = [...section.matchAll(/```sql\n(?<sql>[^`]*)```/g)].slice(0, 2);
  return statements.map(({ groups }) => {
    const sql = groups?.['sql'] ?? '';
    expect(sql).toContain("'orders.placed'");
    return sql.replace("'orders.placed'", "'orders'");
  });
}

async function publish(n: number): Promise<void> {
  await fixture.publish(n, 'a');
  await fixture.moveAll();
}

test('a group whose records retention has removed continues where the operator says, while it runs', async () => {
  const handled: number[] = [];
  // It has been consumed, by owners of more than one epoch.
  for (const n of [1, 2]) {
    const consumer = await consume(handled);
    await publish(n);
    await waitUntil(async () => (await groupLag(fixture.database.session, 'shop'))[0]?.lag === 0, {
      describe: `message ${n} is handled`,
    });
    await consumer.stop();
  }
  await fixture.database.pool.query('update waybill_bus.topic set retention_ms = 1');
  const retention = new LogRetention(fixture.database, { bucketMs: 1 });
  await publish(3);
  await waitUntil(
    async () => {
      await retention.runOnce();
      return (await fixture.log()).length === 0;
    },
    { describe: 'message 3 is removed' },
  );
  await publish(4);
  const consumer = await consume(handled);
  await waitUntil(() => consumer.status.failures.length === 1, { describe: 'the partition fails' });
  expect(consumer.status.failures).toMatchObject([
    { reason: expect.stringMatching(/^OffsetOutOfRangeError/) },
  ]);

  const [ask = '', put = ''] = documented();
  const start = await fixture.value<string>(ask);
  expect(put).toContain('4711, 4711');
  const { rowCount } = await fixture.database.pool.query(put.replaceAll('4711', start));
  expect(rowCount).toBe(1);
  await waitUntil(() => handled.includes(4), { describe: 'message 4 is handled', timeoutMs: 30_000 });
  expect(handled).toEqual([1, 2, 4]);
});
