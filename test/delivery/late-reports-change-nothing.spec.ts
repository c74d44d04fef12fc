import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId, PgDatabase } from '@waybill/kernel';
import type { Membership } from '@waybill/log';
import { groupLag, PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase } from '@waybill/testing';

let created: TestDatabase;
let database: PgDatabase;
let log: PostgresLogEngine;
let member: Membership;
let partitionId: number;

beforeAll(async () => {
  created = await testDatabase('late_reports');
  await migrate({ connectionString: created.connectionString });
  database = new PgDatabase({ connectionString: created.connectionString });
  log = new PostgresLogEngine(database);
  [partitionId] = (await log.topics.create('orders', { partitions: 1 })).partitionIds as [number];
  member = log.join({
    group: 'billing',
    serviceId: newId,
    topics: () => ['orders'],
    leaseMs: 20_000,
    heartbeatMs: 100,
    listener: { onAssigned: async () => {}, onRevoked: async () => {}, onLost: async () => {} },
  });
  await member.start();
});
afterAll(async () => {
  await member.stop();
  await database.close();
  await created.drop();
});

const report = (ownerEpoch: number, position: number): Promise<void> =>
  member.reportPositions([{ partitionId, ownerEpoch, position }]);
const reported = async (): Promise<number | undefined> =>
  (await groupLag(database.session, 'billing')).at(0)?.position;

test('what the owner before reports late, or a statement that arrives late, does not replace a newer position', async () => {
  await report(3, 104);
  await report(4, 108);
  await report(3, 106);
  expect(await reported()).toBe(108);
  await report(4, 107);
  expect(await reported()).toBe(108);
});

test('a new owner whose position is lower, since the log was cut or an operator moved it, is believed', async () => {
  await report(5, 90);
  expect(await reported()).toBe(90);
});
