import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigurationError, type DatabaseAddress, PgDatabase } from '@waybill/kernel';
import { type Cipher, Sealer } from '@waybill/log';
import { assertMigrated, type SchemaPart } from '@waybill/schema';
import type { Command } from 'commander';
import { fileError } from '../output/file-error.js';

/** How long a statement of a command may take, in milliseconds: an operator's may be about many rows. */
const COMMAND_TIMEOUT_MS = 120_000;

interface GlobalOptions {
  readonly databaseUrl?: string;
  readonly databaseUrlFile?: string;
  readonly cipher?: string;
  readonly schema: string;
}

/** Options that stand before the name of a command. */
export function globals(program: Command): GlobalOptions {
  return program.opts<GlobalOptions>();
}

/**
 * The database and schema to work on: that of --database-url, of --database-url-file, of DATABASE_URL, or of PGHOST and its
 * kin, the first that is there.
 * @throws ConfigurationError when no database was named
 */
export function target(program: Command): DatabaseAddress & { schema: string } {
  const { schema } = globals(program);
  const connectionString = urlOf(program);
  if (connectionString !== undefined && connectionString !== '') return { connectionString, schema };
  const { PGHOST: host = '', PGPORT: port = '', PGUSER: user = '', PGDATABASE: database = '' } = process.env;
  const isNamed = connectionString === undefined && host !== '';
  if (!isNamed) {
    throw new ConfigurationError('There is no database to work on', [
      'set DATABASE_URL, or give --database-url-file, or --database-url, or set PGHOST, PGUSER and PGDATABASE',
    ]);
  }
  if (user === '')
    throw new ConfigurationError('There is no database to work on', ['PGHOST is set, and PGUSER is not']);
  // The driver itself reads PGPASSWORD and PGSSLMODE.
  const at = { host, user, database: database === '' ? user : database };
  return { ...at, ...(port === '' ? {} : { port: Number(port) }), schema };
}

function urlOf(program: Command): string | undefined {
  const { databaseUrl, databaseUrlFile } = globals(program);
  if (databaseUrlFile === undefined) return databaseUrl ?? process.env['DATABASE_URL'];
  if (databaseUrl !== undefined)
    throw new ConfigurationError('There is no single database to work on', [
      'give --database-url or --database-url-file, not both',
    ]);
  try {
    return readFileSync(databaseUrlFile, 'utf8').trim();
  } catch (error) {
    throw fileError('The file of --database-url-file cannot be read', databaseUrlFile, error);
  }
}

/**
 * Runs `work` on the database, once it is known to be migrated.
 * @param part what of the schema the work needs
 */
export async function withDatabase(
  program: Command,
  work: (database: PgDatabase, sealer: Sealer) => Promise<void>,
  part: SchemaPart = 'whole',
): Promise<void> {
  const sealer = await sealerOf(globals(program).cipher);
  const database = new PgDatabase({
    ...target(program),
    connectionsMax: 3,
    applicationName: 'waybill cli',
    queryTimeoutMs: COMMAND_TIMEOUT_MS,
  });
  try {
    await assertMigrated(database.session, part);
    await work(database, sealer);
  } finally {
    await database.close();
  }
}

/** Reads what is encrypted with the cipher that a module exports. @throws ConfigurationError */
async function sealerOf(path: string | undefined): Promise<Sealer> {
  if (path === undefined) return Sealer.none;
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
  } catch (error) {
    throw fileError('The cipher cannot be read', path, error);
  }
  return new Sealer({ cipher: exported.default as Cipher });
}
