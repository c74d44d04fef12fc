import { migrate } from '@waybill/schema';
import { createDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';

/** A test's own migrated database: a copy of that of the run, if it is on the same server. */
export async function migratedDatabase(prefix: string, server = testServerUrl()): Promise<TestDatabase> {
  const template = server === testServerUrl() ? process.env['WAYBILL_TEST_TEMPLATE'] : undefined;
  const created = await createDatabase({ connectionString: server }, prefix, template);
  if (template === undefined) await migrate({ connectionString: created.connectionString });
  else await giveIds(created.connectionString);
  return created;
}

/** A copy is a service and a bus of its own. */
async function giveIds(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query(
      'update waybill.service set id = gen_random_uuid(); update waybill_bus.bus set id = gen_random_uuid()',
    );
  } finally {
    await client.end();
  }
}
