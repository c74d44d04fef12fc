import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bindStatement, isWaybillError } from '@waybill/kernel';
import { LogAppender, type ReadyBatch, RecordBatchBuilder } from '@waybill/log';
import { appendCall } from '@waybill/log/postgres/internal';
import { relayIntend } from '../../libs/outbox/src/statements.generated.js';
import { faultsOf, Fixture, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

describe('the log', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
  });
  afterAll(() => fixture.close());

  test('numbers densely and in the order of each producer, with four processes and a relay appending', async () => {
    const count = 5_000;
    const relay = await startProgram('relay', {
      url: fixture.url,
      options: { smallDifferenceRows: 20, windowRows: 20 },
    });
    await fixture.transaction((client) =>
      fixture.outbox.publishMany(
        client,
        upTo(2_000).map((n) => ({ topic: 'orders', key: `key-${n % 9}`, payload: { n, name: 'outbox' } })),
      ),
    );
    const appenders = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => startProgram('appender', { url: fixture.url, name, count })),
    );
    await Promise.all(appenders.map(({ exited }) => exited));
    await stopProgram(relay);
    await fixture.moveAll();
    const records = await fixture.log();
    expect(records).toHaveLength(4 * count + 2_000);
    expect(faultsOf(records)).toEqual([]);
    const newest = new Map<string | null, number>();
    for (const { key, payload } of records) {
      expect(payload.n).toBeGreaterThan(newest.get(key) ?? -1);
      newest.set(key, payload.n);
    }
  });

  test('gives a failed transaction no offsets: the next append continues without a gap', async () => {
    const before = await fixture.log();
    await fixture.database.withConnection(async (connection) => {
      const [partitionId] = (await fixture.topics.get('orders')).partitionIds;
      const append = appendCall([batchOf(partitionId as number, 1)], -1, 'all');
      // After a pass that another relay has made: this is refused, and everything in its transaction is rolled back.
      const token = randomUUID();
      const intend = bindStatement(relayIntend, -1, token, token, '1:1:', '1:1:', 0, 0, 0, 0, [], 0);
      await expect(
        connection.runBatch([append, intend], { begin: true, commit: true }),
      ).rejects.toMatchObject({ code: 'FENCED' });
      await connection.rollback();
      await connection.runBatch([append], { begin: true, commit: true });
    });
    const after = await fixture.log();
    expect(after.length).toBe(before.length + 1);
    expect(faultsOf(after)).toEqual([]);
  });

  test('an append whose response was lost is sent again and stored once; a late one is refused', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    const before = (await fixture.log()).length;
    const append = (sequence: number) =>
      fixture.database.withConnection(async (connection) => {
        const [rows] = await connection.runBatch([
          appendCall([batchOf(partitionId, 2, sequence)], 4711, 'all'),
        ]);
        return rows as { baseOffset: number }[];
      });
    const first = await append(0);
    const again = await append(0);
    expect(again).toEqual(first);
    await append(2);
    expect(await append(0)).toEqual(first);
    await expect(append(1)).rejects.toMatchObject({ code: 'FENCED' });
    expect((await fixture.log()).length).toBe(before + 4);
  });

  test('an appender pushes back when too much is waiting, and refuses what it cannot place', async () => {
    const appender = new LogAppender(fixture.engine, { bufferBytes: 65_536 });
    const sends = upTo(100).map(() => appender.append({ topic: 'orders', value: Buffer.alloc(1_000) }));
    const codes = (await Promise.allSettled(sends)).map((result) =>
      result.status === 'rejected' && isWaybillError(result.reason) ? result.reason.code : 'appended',
    );
    expect(codes.filter((code) => code === 'appended').length).toBeGreaterThan(50);
    expect(codes.filter((code) => code === 'BUFFER_FULL').length).toBeGreaterThan(20);
    await expect(appender.append({ topic: 'orders', partition: 9, value: null })).rejects.toMatchObject({
      code: 'MESSAGE_INVALID',
    });
    await expect(appender.append({ topic: 'nowhere', value: null })).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
    });
    await appender.close();
    await expect(appender.append({ topic: 'orders', value: null })).rejects.toMatchObject({
      code: 'NOT_RUNNING',
    });
  });
});

function batchOf(partitionId: number, records: number, baseSequence = -1): ReadyBatch {
  const builder = new RecordBatchBuilder();
  for (let n = 0; n < records; n += 1) builder.append(Date.now(), null, Buffer.from('{"n":0}'), []);
  return {
    partitionId,
    recordCount: records,
    maxTimestampMs: builder.maxTimestamp,
    baseSequence,
    data: builder.build(),
  };
}
