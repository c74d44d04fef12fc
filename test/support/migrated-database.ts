import { migrate, type SchemaPart } from '@waybill/schema';
import { createDatabase, type TestDatabase, testServerUrl } from '@waybill/testing';
import pg from 'pg';
import { reached, templateOn } from './places.js';

/** A migrated database of a test. */
export interface MigratedDatabase extends TestDatabase {
  /** As a service of the run reaches it. */
  readonly connectionString: string;
  /** Without the pooler that may be on that way: for what needs a session, or logs in as another role. */
  readonly directUrl: string;
}

/**
 * A test's own migrated database: a copy of that of the run, if there is one on the server.
 * @param part what it has. Default: a service and a bus
 */
export async function migratedDatabase(
  prefix: string,
  server = testServerUrl(),
  part?: SchemaPart,
): Promise<MigratedDatabase> {
  const template = templateOn(server, part);
  const created = await createDatabase({ connectionString: server }, prefix, template);
  const { connectionString } = created;
  if (template === undefined) await migrate({ connectionString, ...(part !== undefined && { part }) });
  else await giveIds(connectionString, part);
  return { ...created, connectionString: reached(connectionString), directUrl: connectionString };
}

/** A copy is a service and a bus of its own. */
async function giveIds(connectionString: string, part: SchemaPart | undefined): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    if (part !== 'bus') await client.query('update waybill.service set id = gen_random_uuid()');
    if (part !== 'service') await client.query('update waybill_bus.bus set id = gen_random_uuid()');
  } finally {
    await client.end();
  }
}
