import { createDatabase, ensurePostgres, type PostgresServer, type TestDatabase } from '@waybill/testing';
import pg from 'pg';
import { dropLogins } from '../database/logins.js';

/** Fresh databases for one run of the demo. */
export interface DemoDatabases {
  /** Where the log is, with the tables of orders and inventory. */
  readonly main: string;
  /** Where payments keeps its ledger. */
  readonly ledger: string;
  /** True when the server was given by DATABASE_URL. */
  readonly external: boolean;
  /** Removes everything: the embedded servers, or, on a given server, the databases and their roles. */
  close(): Promise<void>;
}

/**
 * Two databases on the server of DATABASE_URL, or one on each of two embedded ones.
 * @throws TestingError when no server is available.
 */
export async function openDemoDatabases(): Promise<DemoDatabases> {
  const opened = await Promise.allSettled([open('shop_demo'), open('shop_demo_ledger')]);
  const found = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const close = async (): Promise<void> => {
    for (const one of found) await closeOne(one);
  };
  const [main, ledger] = found;
  if (main === undefined || ledger === undefined) {
    await close();
    throw opened.find((result) => result.status === 'rejected')?.reason;
  }
  return {
    main: main.database.connectionString,
    ledger: ledger.database.connectionString,
    external: main.server.external,
    close,
  };
}

interface OpenDatabase {
  readonly server: PostgresServer;
  readonly database: TestDatabase;
}

async function open(prefix: string): Promise<OpenDatabase> {
  const server = await ensurePostgres();
  try {
    return { server, database: await createDatabase(server, prefix) };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function closeOne({ server, database }: OpenDatabase): Promise<void> {
  if (server.external) {
    await database.drop();
    await dropRoles(server.connectionString, database.name);
  }
  await server.stop();
}

async function dropRoles(connectionString: string, database: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await dropLogins(client, database);
  } finally {
    await client.end();
  }
}
