import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { LogRetention, PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase } from '@waybill/testing';
import { type LogUnderTest, logEngineCases } from '@waybill/testing/log-engine';

let created: TestDatabase;
let owner: PgDatabase;

beforeAll(async () => {
  created = await testDatabase('log_engine');
  await migrate({ connectionString: created.connectionString });
  owner = new PgDatabase({ connectionString: created.connectionString });
});
afterAll(async () => {
  await owner.close();
  await created.drop();
});

const underTest: LogUnderTest = {
  hasDenseOffsets: true,
  open: async () => {
    const database = new PgDatabase({ connectionString: created.connectionString });
    let closed: Promise<void> | undefined;
    return { log: new PostgresLogEngine(database), cut: () => (closed ??= database.close()) };
  },
  // A bucket is emptied as a whole, once all topics allow it and a newer one is open.
  expire: async () => {
    await owner.pool.query('update waybill_bus.topic set retention_ms = 1');
    const retention = new LogRetention(owner, { bucketMs: 1 });
    for (let pass = 0; pass < 3; pass += 1) await retention.runOnce();
  },
};

describe('the PostgreSQL engine', () => {
  for (const { name, run } of logEngineCases(() => underTest)) test(name, run);
});
