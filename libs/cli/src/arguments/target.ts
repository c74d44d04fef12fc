import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  ConfigurationError,
  type DatabaseAddress,
  isWaybillError,
  PgDatabase,
  type TargetSessionAttrs,
} from '@waybill/kernel';
import { type Cipher, type LogEngine, Sealer } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { assertMigrated, type SchemaPart } from '@waybill/schema';
import type { Command } from 'commander';
import { fileError } from '../output/file-error.js';

/** A command's sessions. An operator's statement may concern many rows. */
const SESSION = { connectionsMax: 3, applicationName: 'waybill cli', queryTimeoutMs: 120_000 };

type SessionOptions = Partial<typeof SESSION>;

interface GlobalOptions {
  readonly databaseUrl?: string;
  readonly databaseUrlFile?: string;
  readonly busUrl?: string;
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
  part: SchemaPart = 'service',
): Promise<void> {
  const cipher = await cipherOf(globals(program).cipher);
  const database = openDatabase(program);
  try {
    await assertMigrated(database.session, part);
    await work(database, new Sealer({ cipher }));
  } finally {
    await database.close();
  }
}

/** A service's database, and that of its bus: the same one where they share a database. */
export interface Databases {
  readonly database: PgDatabase;
  readonly bus: PgDatabase;
  /** Decrypts what the service has stored, and messages of other services. */
  readonly sealer: Sealer;
}

/** Runs `work` on the service's database and on the bus after checking that both are migrated. */
export async function withBus(
  program: Command,
  work: (databases: Databases) => Promise<void>,
): Promise<void> {
  const cipher = await cipherOf(globals(program).cipher);
  await withDatabase(program, async (database) => {
    const bus = openBus(program) ?? database;
    try {
      await assertMigrated(bus.session, 'bus');
      const { subjectKeys: logKeys } = new PostgresLogEngine(bus, { service: null });
      await work({ database, bus, sealer: new Sealer({ cipher, logKeys }) });
    } finally {
      if (bus !== database) await bus.close();
    }
  });
}

/**
 * Runs `work` on the log after checking that the bus is migrated. Topics are also told to the service whose database is
 * given, if it is one.
 */
export async function withLog(
  program: Command,
  work: (log: LogEngine, bus: PgDatabase) => Promise<void>,
): Promise<void> {
  const database = openDatabase(program);
  const bus = openBus(program) ?? database;
  try {
    await assertMigrated(bus.session, 'bus');
    const service = (await isService(database)) ? database : null;
    await work(new PostgresLogEngine(bus, { service }), bus);
  } finally {
    await database.close();
    if (bus !== database) await bus.close();
  }
}

async function isService(database: PgDatabase): Promise<boolean> {
  try {
    await assertMigrated(database.session, 'service');
    return true;
  } catch (error) {
    if (isWaybillError(error) && error.code === 'MIGRATION_REQUIRED') return false;
    throw error;
  }
}

function openDatabase(program: Command): PgDatabase {
  return new PgDatabase({ ...target(program), ...SESSION });
}

/** The database of the bus; undefined where the service's database itself is the bus. */
export function openBus(program: Command, session: SessionOptions = SESSION): PgDatabase | undefined {
  const { busUrl = process.env['WAYBILL_BUS_URL'], schema } = globals(program);
  if (busUrl === undefined || busUrl === '') return undefined;
  return new PgDatabase({ connectionString: busUrl, schema, ...session });
}

/** The cipher that a module exports. @throws ConfigurationError */
async function cipherOf(path: string | undefined): Promise<Cipher | undefined> {
  if (path === undefined) return undefined;
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
  } catch (error) {
    throw fileError('The cipher cannot be read', path, error);
  }
  return exported.default as Cipher;
}
