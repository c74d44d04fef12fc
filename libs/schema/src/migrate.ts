import {
  ConfigurationError,
  type DatabaseAddress,
  DEFAULT_SCHEMA,
  type Given,
  MigrationBlockedError,
  MigrationChangedError,
  MigrationRequiredError,
  type PgConnection,
  PgDatabase,
  PostgresTooOldError,
  type Resolved,
  resolveOptions,
  SchemaTooNewError,
  type SqlSession,
  systemClock,
  wholeNumber,
} from '@waybill/kernel';
import { addressOf, assertSchemaName, renderSql, sqlStateOf } from '@waybill/kernel/internal';
import { describeBlockers, whileWatched } from './blockers.js';
import type { Migration } from './migration.js';
import { MIGRATIONS } from './migrations.generated.js';
import {
  appliedMigrations,
  lockHolders,
  recordMigration,
  serverVersion,
  tableExists,
} from './statements.generated.js';

/** The database to migrate. */
export type MigrateOptions = DatabaseAddress & {
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /** Applies only the part for a participant's own database; see {@link SchemaPart}. Default false. */
  readonly participant?: boolean;
};

const LOCK_SPECS = {
  /** How long to wait for another migrating process, in milliseconds. */
  lockTimeoutMs: wholeNumber({ default: 60_000, min: 1, max: 540_000 }),
  /**
   * How long one attempt of a migration waits for a lock, in milliseconds: other sessions queue up behind it meanwhile.
   */
  ddlLockTimeoutMs: wholeNumber({ default: 2_000, min: 10, max: 60_000 }),
  /** Attempts of a migration that cannot get its locks, with growing pauses between them. */
  ddlAttempts: wholeNumber({ default: 8, min: 1, max: 100 }),
};

/** How long a migrator waits for others. */
export type MigrationLockOptions = Given<typeof LOCK_SPECS>;

/**
 * The part of the schema in a database. `participant`: a service's business rows are there, and the log is elsewhere.
 * It has inbox, guards and barriers, but no outbox: nothing would move messages published there. The rest can be added
 * later.
 */
export type SchemaPart = 'whole' | 'participant';

/**
 * Migrations that a participant's database omits: outbox, timers and operators' tables. (The log's empty tables
 * exist: the file of the inbox refers to them.)
 */
const NOT_FOR_PARTICIPANTS: ReadonlySet<string> = new Set([
  '0002-outbox',
  '0004-timer',
  '0005-operators',
  '0015-row-security',
]);

/** One migration, and when it was applied; null if it is pending. */
export interface MigrationState {
  readonly number: number;
  readonly name: string;
  readonly appliedAt: Date | null;
}

const OLDEST_SERVER = 140_000;

/**
 * Applies the missing migrations, each in its own transaction, one migrator at a time.
 *
 * @returns the names of those applied now
 * @throws PostgresTooOldError below PostgreSQL 14
 * @throws MigrationChangedError when an applied migration differs from that of this release
 * @throws SchemaTooNewError when a newer release has made a breaking change
 * @throws MigrationBlockedError when another process migrates, or sessions hold the locks it needs, for too long
 * @throws ConfigurationError when the search path of the session puts a schema ahead of `pg_catalog`, or for unusable
 *   options
 */
export async function migrate(options: MigrateOptions & MigrationLockOptions): Promise<string[]> {
  const { lockTimeoutMs, ddlLockTimeoutMs, ddlAttempts } = options;
  const limits = resolveOptions('migration', LOCK_SPECS, { lockTimeoutMs, ddlLockTimeoutMs, ddlAttempts });
  return withDatabase(options, (database) =>
    database.withConnection(async (connection) => {
      await assertServer(connection);
      const lock = `waybill.migrate.${database.schema}`;
      await takeLock(connection, lock, limits.lockTimeoutMs);
      try {
        await createLedger(connection);
        const pending = pendingMigrations(
          await connection.run(appliedMigrations),
          database.schema,
          partOf(options),
        );
        for (const migration of pending) await applyInTime(database, connection, migration, limits);
        return pending.map(({ name }) => name);
      } finally {
        await connection.execute(`select pg_catalog.pg_advisory_unlock(${LOCK_KEY})`, [lock]);
      }
    }),
  );
}

/** The whole chain, with applied and pending migrations. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationState[]> {
  return withDatabase(options, async (database) => {
    const applied = await readLedger(database.session);
    const part = partOf(options);
    pendingMigrations(applied, database.schema, part);
    return chainOf(part).map(({ number, name }) => ({
      number,
      name,
      appliedAt: applied.find((entry) => entry.number === number)?.appliedAt ?? null,
    }));
  });
}

/** The chain as one SQL text, for applying migrations with another tool. */
export function migrationSql(schema: string = DEFAULT_SCHEMA, part: SchemaPart = 'whole'): string {
  assertSchemaName(schema);
  const steps = chainOf(part).map(
    ({ number, name, checksum, breaking, sql }) =>
      `-- ${name}\n${renderSql(sql, schema)}\n${renderSql(NOTHING_FOR_PUBLIC, schema)};\n` +
      `insert into "${schema}".migration (number, name, checksum, breaking)\n` +
      `values (${number}, '${name}', '${checksum}', ${breaking});\n`,
  );
  return `begin;\n\n${PIN_SEARCH_PATH};\n\n${renderSql(`create schema if not exists :schema;\n${LEDGER}`, schema)}\n\n${steps.join('\n')}\ncommit;\n`;
}

/**
 * Checks that this release can work with the database; called by every component that starts.
 *
 * @throws MigrationRequiredError, MigrationChangedError, SchemaTooNewError, PostgresTooOldError
 * @throws ConfigurationError when the search path of the session puts a schema ahead of `pg_catalog`
 */
export async function assertMigrated(session: SqlSession, part: SchemaPart = 'whole'): Promise<void> {
  await assertServer(session);
  const applied = await readLedger(session);
  const pending = pendingMigrations(applied, session.schema, part);
  if (pending.length > 0) {
    const wanted = chainOf(part).length;
    throw new MigrationRequiredError(session.schema, wanted - pending.length, wanted);
  }
}

/** Unqualified names in a migration are PostgreSQL's own, whatever the user's search path is. */
const PIN_SEARCH_PATH = 'set local search_path = pg_catalog, pg_temp';
/** PostgreSQL lets PUBLIC execute a new function; ours need a grant. */
const NOTHING_FOR_PUBLIC = 'revoke all on all routines in schema :schema from public';
/** Time limit for a migration, in milliseconds. */
const MIGRATION_TIMEOUT_MS = 600_000;
const LOCK_KEY = 'pg_catalog.hashtext($1)';
const LOCK_NOT_AVAILABLE = '55P03';
/** Pauses between attempts of a migration, in milliseconds. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4_000;

const LEDGER = `create table if not exists :schema.migration (
  number     integer primary key,
  name       text not null,
  checksum   text not null,
  breaking   boolean not null,
  applied_at timestamptz not null default clock_timestamp()
);`;

type LedgerEntry = { number: number; name: string; checksum: string; breaking: boolean; appliedAt: Date };

async function withDatabase<T>(
  options: MigrateOptions,
  work: (database: PgDatabase) => Promise<T>,
): Promise<T> {
  const schema = options.schema ?? DEFAULT_SCHEMA;
  assertSchemaName(schema);
  const database = new PgDatabase({
    ...addressOf(options),
    schema,
    // One migrates, the other observes which sessions it waits for.
    connectionsMax: 2,
    queryTimeoutMs: MIGRATION_TIMEOUT_MS,
  });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}

async function assertServer(session: SqlSession): Promise<void> {
  const [row] = await session.run(serverVersion);
  if (row === undefined) return;
  if (row.versionNumber < OLDEST_SERVER) throw new PostgresTooOldError(row.version);
  const schemas = row.searched.split(',');
  const ahead = schemas.slice(0, schemas.indexOf('pg_catalog')).filter((name) => !name.startsWith('pg_temp'));
  if (ahead.length > 0) {
    throw new ConfigurationError("The search path puts other schemas ahead of PostgreSQL's own", [
      `it searches ${ahead.join(', ')} before pg_catalog, so every role that may create objects there can replace ` +
        'operators and functions that Waybill calls',
      'remove pg_catalog from search_path (it is then searched first), or name it first',
    ]);
  }
}

async function readLedger(session: SqlSession): Promise<LedgerEntry[]> {
  const [exists] = await session.run(tableExists, session.schema);
  return exists?.ledgerExists === true ? session.run(appliedMigrations) : [];
}

async function createLedger(connection: PgConnection): Promise<void> {
  const [exists] = await connection.run(tableExists, connection.schema);
  if (exists?.ledgerExists === true) return;
  // CREATE SCHEMA requires a right on the database even if the schema already exists.
  const steps = exists?.schemaExists === true ? [LEDGER] : ['create schema :schema', LEDGER];
  // Several statements in one query are one transaction.
  await connection.execute(renderSql([PIN_SEARCH_PATH, ...steps].join(';\n'), connection.schema));
}

function partOf({ participant }: MigrateOptions): SchemaPart {
  return participant === true ? 'participant' : 'whole';
}

function chainOf(part: SchemaPart): readonly Migration[] {
  return part === 'whole' ? MIGRATIONS : MIGRATIONS.filter(({ name }) => !NOT_FOR_PARTICIPANTS.has(name));
}

function pendingMigrations(applied: readonly LedgerEntry[], schema: string, part: SchemaPart): Migration[] {
  for (const entry of applied) {
    const known = MIGRATIONS.find(({ number }) => number === entry.number);
    if (known === undefined) {
      if (entry.breaking) throw new SchemaTooNewError(schema, entry.number, MIGRATIONS.length);
    } else if (known.checksum !== entry.checksum) {
      throw new MigrationChangedError(schema, entry.name);
    }
  }
  return chainOf(part).filter(({ number }) => !applied.some((entry) => entry.number === number));
}

async function takeLock(connection: PgConnection, lock: string, timeoutMs: number): Promise<void> {
  await connection.execute(`select pg_catalog.set_config('lock_timeout', $1, false)`, [String(timeoutMs)]);
  try {
    await connection.execute(`select pg_catalog.pg_advisory_lock(${LOCK_KEY})`, [lock]);
  } catch (error) {
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    const holders = describeBlockers(await connection.run(lockHolders, lock));
    const what = `Schema ${connection.schema} is being migrated by ${holders}; waited ${timeoutMs} ms for it`;
    throw new MigrationBlockedError(what, { cause: error });
  } finally {
    await connection.execute('reset lock_timeout');
  }
}

/** Applies a migration; while it cannot get its locks, it gives way to the sessions queued behind it, and retries. */
async function applyInTime(
  database: PgDatabase,
  connection: PgConnection,
  migration: Migration,
  limits: Resolved<typeof LOCK_SPECS>,
): Promise<void> {
  const { ddlLockTimeoutMs, ddlAttempts } = limits;
  let pauseMs = FIRST_PAUSE_MS;
  for (let attempt = 1; ; attempt += 1) {
    const failure = await whileWatched(database, connection, () =>
      apply(connection, migration, ddlLockTimeoutMs),
    );
    if (failure === undefined) return;
    const { error, blockers } = failure;
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    if (attempt === ddlAttempts) {
      const what = `Migration ${migration.name} of schema ${database.schema} did not get its locks in ${ddlAttempts} attempts of ${ddlLockTimeoutMs} ms`;
      throw new MigrationBlockedError(`${what}: they are held by ${describeBlockers(blockers)}`, {
        cause: error,
      });
    }
    await systemClock.sleep(pauseMs);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
}

async function apply(connection: PgConnection, migration: Migration, lockTimeoutMs: number): Promise<void> {
  await connection.execute('begin isolation level read committed');
  try {
    await connection.execute(`${PIN_SEARCH_PATH}; set local lock_timeout = ${lockTimeoutMs}`);
    await connection.execute(renderSql(migration.sql, connection.schema));
    await connection.execute(renderSql(NOTHING_FOR_PUBLIC, connection.schema));
    await connection.run(
      recordMigration,
      migration.number,
      migration.name,
      migration.checksum,
      migration.breaking,
    );
    await connection.execute('commit');
  } catch (error) {
    await connection.rollback();
    throw error;
  }
}
