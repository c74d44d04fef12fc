import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { RunDatabase } from '../runner/run-database.js';

/** How long a server that another fault has hit may take to accept a connection, in milliseconds. */
const ACCEPT_MS = 30_000;

/** A connection of its own to the run's database. Its loss is the fault's affair. */
export async function connectTo(connectionString: string, database: RunDatabase): Promise<pg.Client> {
  const url = new URL(connectionString);
  url.pathname = new URL(database.url).pathname;
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Like {@link connectTo}, while other faults may be at work: tries again until the server accepts the connection. */
export async function connectSoon(connectionString: string, database: RunDatabase): Promise<pg.Client> {
  const until = Date.now() + ACCEPT_MS;
  for (;;) {
    try {
      return await connectTo(connectionString, database);
    } catch (error) {
      if (Date.now() > until) throw error;
      await sleep(200);
    }
  }
}
