/**
 * The one PostgreSQL of a test run: the server of DATABASE_URL, else an embedded one; and on it a migrated database,
 * which most tests copy, because migrating takes five times as long. Jest's set-up and teardown run in one process and
 * share this module.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const equipment = new URL('../../libs/testing/dist/index.js', import.meta.url);
const migrator = new URL('../../libs/schema/dist/index.js', import.meta.url);
let server;
let template;

export async function startTestServer() {
  if (!existsSync(fileURLToPath(equipment))) {
    throw new Error(
      'libs/testing is not compiled. Run the tests by "npm test", or run "npm run build" first.',
    );
  }
  const { createDatabase, ensurePostgres, TEST_SERVER_VARIABLE } = await import(equipment.href);
  const { migrate } = await import(migrator.href);
  server = await ensurePostgres();
  template = await createDatabase(server, 'migrated');
  await migrate({ connectionString: template.connectionString });
  // Workers are started later and inherit these.
  process.env[TEST_SERVER_VARIABLE] = server.connectionString;
  process.env['WAYBILL_TEST_TEMPLATE'] = template.name;
}

export async function stopTestServer() {
  await template?.drop();
  await server?.stop();
}
