import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import type { RunDatabase } from '../runner/run-database.js';

/** How long a server that another fault has hit may take to accept a connection, in milliseconds. */
const ACCEPT_MS = 30_000;
const LOCK_ATTEMPTS = 50;

/** A connection of its own to a database of the run. Its loss is the fault's affair. */
export async function connectTo(database: RunDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Like {@link connectTo}, while other faults may be at work: tries again until the server accepts the connection. */
export async function connectSoon(database: RunDatabase): Promise<pg.Client> {
  let client: pg.Client | undefined;
  await waitUntil(async () => (client = await connectTo(database)) !== undefined, {
    describe: 'the server accepts a connection',
    timeoutMs: ACCEPT_MS,
    intervalMs: 200,
  });
  return client as pg.Client;
}

/**
 * Runs statements that lock tables under load. When a lock is not to be had (in time, or because of a deadlock), all of
 * them run again.
 */
export async function untilLocked(client: pg.Client, ...statements: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      for (const statement of statements) await client.query(statement);
      return;
    } catch (error) {
      const { code } = error as { readonly code?: string };
      const isBusy = code === '55P03' || code === '40P01' || code === 'XX000';
      if (!isBusy || attempt === LOCK_ATTEMPTS) throw error;
      // Its own failure would hide why the lock was not to be had; the next attempt meets it.
      await client.query('rollback').catch(() => {});
    }
  }
}
