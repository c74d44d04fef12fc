import { migrate } from '@waybill/schema';
import { createDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';

/** A test's own migrated database: a copy of that of the run, if it is on the same server. */
export async function migratedDatabase(prefix: string, server = testServerUrl()): Promise<TestDatabase> {
  const template = server === testServerUrl() ? process.env['WAYBILL_TEST_TEMPLATE'] : undefined;
  const created = await createDatabase({ connectionString: server }, prefix, template);
  if (template === undefined) await migrate({ connectionString: created.connectionString });
  return created;
}
