import { createDatabase, ensurePostgres, type PostgresServer, type TestDatabase } from '@waybill/testing';
import pg from 'pg';
import { dropLogins } from '../database/logins.js';
import type { ShopDatabases } from '../database/prepare-database.js';

/** The databases on each of the two servers. */
const SERVERS = [
  ['orders', 'bus'],
  ['inventory', 'payments'],
] as const;

/** Fresh databases for one run of the demo. */
export interface DemoDatabases {
  /** Connection strings of the owner. */
  readonly urls: ShopDatabases;
  /** True when the server was given by DATABASE_URL. */
  readonly external: boolean;
  /** Removes everything: the embedded servers, or, on a given server, the databases and their roles. */
  close(): Promise<void>;
}

/**
 * A database for each service and one for the bus, on the server of DATABASE_URL or on two embedded ones.
 * @throws TestingError when no server is available.
 */
export async function openDemoDatabases(): Promise<DemoDatabases> {
  const opened = await Promise.allSettled(SERVERS.map((names) => open(names)));
  const found = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const close = async (): Promise<void> => {
    for (const one of found) await closeOne(one);
  };
  const failure = opened.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await close();
    throw failure.reason;
  }
  const urls = new Map(found.flatMap(({ databases }) => [...databases]));
  const urlOf = (name: keyof ShopDatabases): string => urls.get(name)?.connectionString ?? '';
  return {
    urls: {
      orders: urlOf('orders'),
      inventory: urlOf('inventory'),
      payments: urlOf('payments'),
      bus: urlOf('bus'),
    },
    external: found.some(({ server }) => server.external),
    close,
  };
}

interface OpenServer {
  readonly server: PostgresServer;
  readonly databases: ReadonlyMap<keyof ShopDatabases, TestDatabase>;
}

async function open(names: readonly (keyof ShopDatabases)[]): Promise<OpenServer> {
  const server = await ensurePostgres();
  const databases = new Map<keyof ShopDatabases, TestDatabase>();
  try {
    for (const name of names) databases.set(name, await createDatabase(server, `shop_demo_${name}`));
    return { server, databases };
  } catch (error) {
    await closeOne({ server, databases });
    throw error;
  }
}

async function closeOne({ server, databases }: OpenServer): Promise<void> {
  if (server.external) {
    for (const database of databases.values()) {
      await database.drop();
      await dropRoles(server.connectionString, database.name);
    }
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
