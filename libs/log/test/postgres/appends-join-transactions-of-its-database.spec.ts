import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type BoundStatement, PgDatabase } from '@waybill/kernel';
import { RecordBatchBuilder } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase } from '@waybill/testing';

let created: TestDatabase;
let database: PgDatabase;
let log: PostgresLogEngine;
let partitionId: number;

beforeAll(async () => {
  created = await testDatabase('append_within');
  await migrate({ connectionString: created.connectionString });
  database = new PgDatabase({ connectionString: created.connectionString });
  log = new PostgresLogEngine(database);
  [partitionId] = (await log.topics.create('orders', { partitions: 1 })).partitionIds as [number];
});
afterAll(async () => {
  await database.close();
  await created.drop();
});

function append(): readonly BoundStatement[] {
  const builder = new RecordBatchBuilder();
  builder.append(1_000, null, Buffer.from('a'), []);
  const batch = {
    partitionId,
    recordCount: 1,
    maxTimestampMs: builder.maxTimestamp,
    baseSequence: -1,
    data: builder.build(),
  };
  const statements = log.appendWithin(database);
  if (statements === undefined) throw new Error('the log is not in the database');
  return statements([batch]);
}

const endOffset = async (): Promise<number | undefined> =>
  (await log.offsets([partitionId])).get(partitionId)?.endOffset;

test('an append takes effect with the transaction that it is part of', async () => {
  const before = (await endOffset()) ?? NaN;
  await expect(
    database.transaction(async (connection) => {
      await connection.runBatch(append());
      throw new Error('the work failed');
    }),
  ).rejects.toThrow('the work failed');
  expect(await endOffset()).toBe(before);
  const [rows] = await database.runTogether(append());
  expect(rows).toEqual([{ partitionId, baseOffset: before }]);
  expect(await endOffset()).toBe(before + 1);
});

test('no transaction of another database appends, or hands over', async () => {
  const other = new PgDatabase({ connectionString: created.connectionString });
  expect(log.appendWithin(other)).toBeUndefined();
  expect(log.handOverWithin(other)).toBeUndefined();
  await other.close();
});
