/**
 * The servers of a test run. The first is that of DATABASE_URL, else an embedded one; a second one has the buses if the
 * run wants them in another cluster. On them are migrated databases, which most tests copy, because migrating takes five
 * times as long. Jest's set-up and teardown run in one process and share this module.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readPlacement } from './placement.mjs';

const equipment = new URL('../../libs/testing/dist/index.js', import.meta.url);
const migrator = new URL('../../libs/schema/dist/index.js', import.meta.url);
/** What is to be done at the end of the run, last first. */
const ends = [];
/** For each database of a test: fewer than the fixtures' pools have, and as many as a test holds at a time. */
const POOLED_CONNECTIONS = 25;

export async function startTestServer() {
  if (!existsSync(fileURLToPath(equipment))) {
    throw new Error(
      'libs/testing is not compiled. Run the tests by "npm test", or run "npm run build" first.',
    );
  }
  const { ensurePostgres, startPostgres, TEST_SERVER_VARIABLE } = await import(equipment.href);
  const { bus, busVersion, hasPoolers } = readPlacement();
  const server = await ensurePostgres();
  ends.push(() => server.stop());
  let busServer;
  if (bus === 'database') busServer = server;
  if (bus === 'cluster') {
    busServer = await startPostgres({ version: busVersion });
    ends.push(() => busServer.stop());
  }
  const templates = await Promise.all([
    template(server),
    // Each has only its part, so that a statement that is sent to the wrong one fails.
    template(server, 'service'),
    template(busServer ?? server, 'bus'),
  ]);
  const servers = [...new Set([server, busServer ?? server])];
  const poolers = hasPoolers ? await Promise.all(servers.map((one) => pooler(one))) : [];
  // Workers are started later and inherit these.
  process.env[TEST_SERVER_VARIABLE] = server.connectionString;
  process.env.WAYBILL_TEST_PLACES = JSON.stringify({
    busServer: busServer?.connectionString,
    templates,
    poolers,
  });
}

/** A pooler before a server, for all its databases. */
async function pooler({ connectionString }) {
  const { startPooler } = await import('./pooler.mjs');
  const { url, stop } = await startPooler(connectionString, POOLED_CONNECTIONS);
  ends.push(stop);
  return { server: new URL(connectionString).host, pooler: new URL(url).host };
}

async function template(server, part) {
  const { createDatabase } = await import(equipment.href);
  const { migrate } = await import(migrator.href);
  const created = await createDatabase(server, `migrated${part === undefined ? '' : `_${part}`}`);
  ends.push(() => created.drop());
  await migrate({ connectionString: created.connectionString, part });
  return { server: server.connectionString, part, name: created.name };
}

export async function stopTestServer() {
  for (const end of ends.splice(0).toReversed()) await end();
}
