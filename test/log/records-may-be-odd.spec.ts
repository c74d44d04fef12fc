import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import { PgTransactionRunner, type TransactionRunner } from '@waybill/kernel';
import type { RecordToAppend } from '@waybill/log';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { appendBytes } from '../support/raw-records.js';
import { Fixture } from '../support/fixture.js';

type Odd = Omit<RecordToAppend, 'topic' | 'value'>;
const header = (key: string, value: string | Buffer): Odd => ({
  key: Buffer.from('k'),
  headers: [{ key, value: Buffer.from(value) }],
});

/** Records found in a log that other programs may write to. */
const ODD: readonly (readonly [what: string, record: Odd])[] = [
  ['a key with a NUL', { key: Buffer.from('a\0b') }],
  ['a key that is not UTF-8', { key: Buffer.from([0xff, 0xfe, 0x00, 0x41]) }],
  ['a message id with a NUL', header('waybill-id', 'i\0d')],
  ['a header with a NUL', header('a\0b', 'c\0d')],
  ['a header that is not UTF-8', header('x', Buffer.from([0xc3, 0x28, 0xff]))],
  ['a reply topic with a NUL', header('waybill-reply-to', 're\0ply')],
  ['an impossible reply topic', header('waybill-reply-to', ' / '.repeat(1_000))],
  [
    'a request for a reply, with NULs',
    {
      key: Buffer.from('k'),
      headers: [
        { key: 'waybill-reply-to', value: Buffer.from('replies') },
        { key: 'waybill-reply-key', value: Buffer.from('c\0d') },
        { key: 'a\0b', value: Buffer.from('c\0d') },
        { key: '__proto__', value: Buffer.from('e') },
        { key: 'waybill-id', value: Buffer.from('e\0') },
      ],
    },
  ],
  [
    'a header twice',
    {
      key: Buffer.from('k'),
      headers: [
        { key: 'twice', value: Buffer.from('a') },
        { key: 'twice', value: null },
        { key: '__proto__', value: Buffer.from('b') },
      ],
    },
  ],
  ['an expiry that no clock reaches', header('waybill-expires-at', '9999999999999999')],
  ['a long incompressible key', { key: Buffer.from(randomBytes(60_000).toString('base64')) }],
  ['a long message id', header('waybill-id', randomBytes(60_000).toString('base64'))],
  ['a key of a megabyte', { key: Buffer.alloc(1_000_000, 'k') }],
];

let fixture: Fixture;
let consumer: Consumer;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 }, replies: { partitions: 1 } });
});
afterEach(async () => {
  await consumer.stop();
  await fixture.close();
});

test.each(ODD)('%s: its failure stops no later message', async (_, odd) => {
  const value = (n: number): Buffer => Buffer.from(JSON.stringify({ n }));
  await appendBytes(fixture, { topic: 'orders', value: value(1), ...odd });
  await appendBytes(fixture, { topic: 'orders', key: Buffer.from('other'), value: value(2) });
  const handler: Handler = async ({ transaction, payload }) => {
    const { n } = payload as { n: number };
    if (n === 1) throw new Error('it fails');
    await (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [n]);
  };
  consumer = new Consumer(
    {
      group: 'test',
      subscriptions: [resolveSubscription('orders', handler, { retry: { maxAttempts: 2, delayMs: 50 } })],
      database: fixture.database,
      transactions: new PgTransactionRunner(fixture.database) as TransactionRunner,
      log: fixture.engine,
    },
    { leaseMs: 20_000, heartbeatMs: 200, pollMaxMs: 50 },
  );
  await consumer.start();
  await waitUntil(async () => (await fixture.value('select count(*)::int from effect where n = 2')) === 1, {
    timeoutMs: 8_000,
    describe: 'the other key is handled',
  });
  await waitUntil(async () => (await fixture.value('select count(*)::int from waybill.dead_letter')) === 1, {
    timeoutMs: 8_000,
    describe: 'it is a dead letter',
  });
  expect(await fixture.value('select attempts from waybill.dead_letter')).toBe(2);
  expect(consumer.status.failures).toEqual([]);
});
