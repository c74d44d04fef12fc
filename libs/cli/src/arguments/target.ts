import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  ConfigurationError,
  type DatabaseAddress,
  PgDatabase,
  type TargetSessionAttrs,
} from '@waybill/kernel';
import { type Cipher, Sealer } from '@waybill/log';
import { assertMigrated, type SchemaPart } from '@waybill/schema';
import type { Command } from 'commander';
import { fileError } from '../output/file-error.js';

/** Time limit of a command's statement, in milliseconds: an operator's statement may concern many rows. */
const COMMAND_TIMEOUT_MS = 120_000;

interface GlobalOptions {
  readonly databaseUrl?: string;
  readonly databaseUrlFile?: string;
  readonly cipher?: string;
  readonly schema: string;
}

/** Options that come before the name of a command. */
export function globals(program: Command): GlobalOptions {
  return program.opts<GlobalOptions>();
}

/**
 * The database and schema to work on: from --database-url, --database-url-file, DATABASE_URL, or PGHOST and the other
 * PG variables; the first one that is set is used.
 * @throws ConfigurationError if no database is given
 */
export function target(program: Command): DatabaseAddress & { schema: string } {
  const { schema } = globals(program);
  const connectionString = urlOf(program);
  if (connectionString !== undefined && connectionString !== '') return { connectionString, schema };
  const { PGHOST = '', PGPORT: port = '', PGUSER: user = '', PGDATABASE: database = '' } = process.env;
  const isNamed = connectionString === undefined && PGHOST !== '';
  if (!isNamed) {
    throw new ConfigurationError('No database is given', [
      'set DATABASE_URL, use --database-url-file or --database-url, or set PGHOST, PGUSER and PGDATABASE',
    ]);
  }
  if (user === '') throw new ConfigurationError('No database is given', ['PGHOST is set, but PGUSER is not']);
  // The driver itself reads PGPASSWORD and PGSSLMODE.
  const at = { host: withPorts(PGHOST, port), user, database: database === '' ? user : database };
  const { PGTARGETSESSIONATTRS: attrs = '' } = process.env;
  return {
    ...at,
    ...(port === '' || port.includes(',') ? {} : { port: Number(port) }),
    ...(attrs === '' ? {} : { targetSessionAttrs: attrs as TargetSessionAttrs }),
    schema,
  };
}

/** PGPORT may list a port for each host. */
function withPorts(hosts: string, ports: string): string {
  if (!ports.includes(',')) return hosts;
  const [names, numbers] = [hosts.split(','), ports.split(',')];
  if (names.length !== numbers.length)
    throw new ConfigurationError('No database is given', [
      `PGHOST lists ${names.length} hosts and PGPORT ${numbers.length} ports: give one for each, or one for all`,
    ]);
  return names.map((name, at) => `${name}:${numbers[at]}`).join(',');
}

function urlOf(program: Command): string | undefined {
  const { databaseUrl, databaseUrlFile } = globals(program);
  if (databaseUrlFile === undefined) return databaseUrl ?? process.env['DATABASE_URL'];
  if (databaseUrl !== undefined)
    throw new ConfigurationError('Two databases are given', [
      'use --database-url or --database-url-file, not both',
    ]);
  try {
    return readFileSync(databaseUrlFile, 'utf8').trim();
  } catch (error) {
    throw fileError('The file of --database-url-file cannot be read', databaseUrlFile, error);
  }
}

/**
 * Runs `work` on the database after checking that it is migrated.
 * @param part the part of the schema that the work needs
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

/** Decrypts with the cipher that a module exports. @throws ConfigurationError */
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
