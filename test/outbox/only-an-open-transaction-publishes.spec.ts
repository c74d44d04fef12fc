import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { type TransactionHandle } from '@waybill/outbox';
import { PrismaTransactionRunner } from '@waybill/outbox/internal';
import pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { Fixture, numbersOf } from '../support/fixture.js';
import { outboxOf } from '../support/places.js';

describe('publishing', () => {
  let fixture: Fixture;
  let prisma: PrismaClient;
  beforeAll(async () => {
    fixture = await Fixture.create({ orders: { partitions: 3 } });
    prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: fixture.url }) });
  });
  afterAll(async () => {
    await prisma.$disconnect();
    await fixture.close();
  });

  const message = (n: number) => ({
    topic: 'orders',
    key: 'k',
    payload: { n },
    headers: { colour: 'naïve blue' },
  });
  const refused = expect.objectContaining({ code: 'TRANSACTION_REQUIRED' });

  test('with anything but an open transaction is refused, and nothing is written', async () => {
    const client = await fixture.database.pool.connect();
    const alone = new pg.Client({ connectionString: fixture.url });
    const handles: unknown[] = [
      client,
      alone,
      fixture.database.pool,
      prisma,
      undefined,
      null,
      {},
      'tx',
      () => undefined,
    ];
    for (const handle of handles) {
      await expect(fixture.outbox.publish(handle as TransactionHandle, message(1))).rejects.toEqual(refused);
      await expect(fixture.outbox.publishMany(handle as TransactionHandle, [message(1)])).rejects.toEqual(
        refused,
      );
    }
    await client.query('begin');
    await client.query('select 1 / 0').catch(() => undefined);
    await expect(fixture.outbox.publish(client, message(1))).rejects.toEqual(refused);
    await client.query('rollback');
    await expect(fixture.outbox.publish(client, message(1))).rejects.toEqual(refused);
    client.release();
    expect(await fixture.value('select count(*)::int from waybill.outbox')).toBe(0);
  });

  test('by Prisma joins its interactive transaction: commit, roll back, and refusal once it has ended', async () => {
    const kept: { tx?: TransactionHandle } = {};
    await prisma.$transaction(async (tx) => {
      await fixture.outbox.publish(tx, message(10));
      await fixture.outbox.publishMany(tx, [message(11), { ...message(12), key: null, partition: 2 }]);
      kept.tx = tx;
    });
    await expect(
      prisma.$transaction(async (tx) => {
        await fixture.outbox.publish(tx, message(13));
        throw new Error('rolled back on purpose');
      }),
    ).rejects.toThrow('on purpose');
    await expect(fixture.outbox.publish(kept.tx as TransactionHandle, message(14))).rejects.toEqual(refused);
    await fixture.moveAll();
    const records = await fixture.log();
    expect(numbersOf(records)).toEqual([10, 11, 12]);
    expect(records.find(({ payload }) => payload.n === 11)).toMatchObject({
      key: 'k',
      headers: { colour: 'naïve blue' },
    });
    expect(records.find(({ payload }) => payload.n === 12)).toMatchObject({ key: null, partition: 2 });
  });

  test('errors of the message are the same through Prisma and pg', async () => {
    const publish = (topic: string, partition?: number) => {
      const unknown = { topic, payload: { n: 1 }, ...(partition === undefined ? {} : { partition }) };
      return [
        prisma.$transaction((tx) => fixture.outbox.publish(tx, unknown)),
        fixture.transaction((client) => fixture.outbox.publish(client, unknown)),
        fixture.transaction((client) => fixture.outbox.publishMany(client, [unknown])),
      ];
    };
    const codes = async (attempts: Promise<unknown>[]): Promise<unknown[]> =>
      (await Promise.allSettled(attempts)).map((result) =>
        result.status === 'rejected' ? (result.reason as { code?: unknown }).code : 'published',
      );
    expect(await codes(publish('nowhere'))).toEqual(['TOPIC_UNKNOWN', 'TOPIC_UNKNOWN', 'TOPIC_UNKNOWN']);
    expect(await codes(publish('orders', 3))).toEqual([
      'MESSAGE_INVALID',
      'MESSAGE_INVALID',
      'MESSAGE_INVALID',
    ]);
  });

  test('a Prisma transaction runner gives up work that does not end in time, and supports savepoints', async () => {
    const runner = new PrismaTransactionRunner(prisma, 'waybill');
    let release: () => void = () => undefined;
    const stuck = runner.run({
      timeoutMs: 100,
      work: async ({ handle }) => {
        await fixture.outbox.publish(handle, message(20));
        await new Promise<void>((resolve) => (release = resolve));
      },
    });
    await expect(stuck).rejects.toThrow('did not end within 100 ms');
    release();
    const before = await fixture.value('select count(*)::int from waybill.outbox');
    await fixture.moveAll();
    expect(numbersOf(await fixture.log())).not.toContain(20);
    expect(before).toBe(await fixture.value('select count(*)::int from waybill.outbox'));
  });

  test('of order "strict" makes publishers of one key take turns', async () => {
    const strict = outboxOf({ order: 'strict' });
    const first = await fixture.database.pool.connect();
    await first.query('begin');
    await strict.publish(first, { topic: 'orders', key: 'same', payload: { n: 30 } });
    let secondIsThrough = false;
    const second = fixture
      .transaction((client) => strict.publish(client, { topic: 'orders', key: 'same', payload: { n: 31 } }))
      .then(() => (secondIsThrough = true));
    await fixture.transaction((client) =>
      strict.publish(client, { topic: 'orders', key: 'other', payload: { n: 32 } }),
    );
    expect(secondIsThrough).toBe(false);
    await first.query('commit');
    first.release();
    await second;
    await fixture.moveAll();
    const numbers = (await fixture.log()).filter(({ key }) => key === 'same').map(({ payload }) => payload.n);
    expect(numbers).toEqual([30, 31]);
  });

  test('continues the trace of the publisher', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const traced = outboxOf({ traceHeaders: () => ({ traceparent }) });
    await fixture.transaction((client) => traced.publish(client, message(40)));
    await fixture.moveAll();
    expect((await fixture.log()).find(({ payload }) => payload.n === 40)?.headers).toMatchObject({
      traceparent,
    });
  });
});
