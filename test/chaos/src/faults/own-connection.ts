import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { RunDatabase } from '../runner/run-database.js';

/** How long a server that another fault has hit may take to accept a connection, in milliseconds. */
const ACCEPT_MS = 30_000;

/** A connection of its own to a database of the run. Its loss is the fault's affair. */
export async function connectTo(database: RunDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Like {@link connectTo}, while other faults may be at work: tries again until the server accepts the connection. */
export async function connectSoon(database: RunDatabase): Promise<pg.Client> {
  const until = Date.now() + ACCEPT_MS;
  for (;;) {
    try {
      return await connectTo(database);
    } catch (error) {
      if (Date.now() > until) throw error;
      await sleep(200);
    }
  }
}
