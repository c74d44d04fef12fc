import { createDatabase, ensurePostgres } from '@waybill/testing';
import pg from 'pg';
import { dropServiceRoles } from '../database/service-roles.js';

/** A fresh database for one run of the demo. */
export interface DemoDatabase {
  readonly connectionString: string;
  /** True when the server was given by DATABASE_URL. */
  readonly external: boolean;
  /** Removes everything: the embedded server, or from somebody else's server the database and its roles. */
  close(): Promise<void>;
}

/**
 * A database of its own on the server of DATABASE_URL, or on an embedded one.
 * @throws TestingError when there is no server to be had.
 */
export async function openDemoDatabase(): Promise<DemoDatabase> {
  const server = await ensurePostgres();
  try {
    const database = await createDatabase(server, 'shop_demo');
    const close = async (): Promise<void> => {
      if (server.external) {
        await database.drop();
        await dropRoles(server.connectionString, database.name);
      }
      await server.stop();
    };
    return { connectionString: database.connectionString, external: server.external, close };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function dropRoles(connectionString: string, database: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await dropServiceRoles(client, database);
  } finally {
    await client.end();
  }
}
