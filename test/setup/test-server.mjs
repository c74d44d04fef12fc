/**
 * The one PostgreSQL of a test run: the server of DATABASE_URL, else an embedded one. Set-up and teardown of Jest run in
 * one process and share this module.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const equipment = new URL('../../libs/testing/dist/index.js', import.meta.url);
let server;

export async function startTestServer() {
  if (!existsSync(fileURLToPath(equipment))) {
    throw new Error(
      'libs/testing is not compiled. Run the tests by "npm test", or run "npm run build" first.',
    );
  }
  const { ensurePostgres, TEST_SERVER_VARIABLE } = await import(equipment.href);
  server = await ensurePostgres();
  // Workers are started later and inherit it.
  process.env[TEST_SERVER_VARIABLE] = server.connectionString;
}

export async function stopTestServer() {
  await server?.stop();
}
