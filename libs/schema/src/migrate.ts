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
import { SCHEMA_PARTS, schemaOf, type SchemaPart } from './schema-part.js';
import { BUS_MIGRATIONS, SERVICE_MIGRATIONS } from './migrations.generated.js';
import {
  appliedBusMigrations,
  appliedMigrations,
  lockHolders,
  ownPid,
  recordMigration,
  serverVersion,
  tableExists,
} from './statements.generated.js';

/** The database to migrate. */
export type MigrateOptions = DatabaseAddress & {
  /** Waybill's schema. Default `waybill`. */
  readonly schema?: string;
  /**
   * The part to apply: `service` for the database of a service whose bus is elsewhere, `bus` for a database that holds
   * only the log. Default: both.
   */
  readonly part?: SchemaPart;
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

const CHAINS: Readonly<Record<SchemaPart, readonly Migration[]>> = {
  service: SERVICE_MIGRATIONS,
  bus: BUS_MIGRATIONS,
};

/** One migration, and when it was applied; null if it is pending. */
export interface MigrationState {
  readonly part: SchemaPart;
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
  const names: string[] = [];
  for (const part of partsOf(options)) {
    const applied = await withDatabase(options, part, (database) => migratePart(database, part, limits));
    names.push(...applied.map(({ name }) => `${part}/${name}`));
  }
  return names;
}

async function migratePart(
  database: PgDatabase,
  part: SchemaPart,
  limits: Resolved<typeof LOCK_SPECS>,
): Promise<readonly Migration[]> {
  return database.withConnection(async (connection) => {
    await assertServer(connection);
    await underLock(connection, limits.lockTimeoutMs, () => createLedger(connection));
    const applied: Migration[] = [];
    for (;;) {
      const migration = await applyNext(database, connection, part, limits);
      if (migration === undefined) return applied;
      applied.push(migration);
    }
  });
}

/** The chains of both parts, or of one, with applied and pending migrations. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationState[]> {
  const states: MigrationState[] = [];
  for (const part of partsOf(options)) {
    const applied = await withDatabase(options, part, async ({ session, schema }) => {
      const [exists] = await session.run(tableExists, schema);
      const entries = exists?.ledgerExists === true ? await session.run(appliedMigrations) : [];
      pendingMigrations(entries, schema, part);
      return new Map(entries.map(({ number, appliedAt }) => [number, appliedAt]));
    });
    states.push(
      ...CHAINS[part].map(({ number, name }) => ({
        part,
        number,
        name,
        appliedAt: applied.get(number) ?? null,
      })),
    );
  }
  return states;
}

/** The chain of a part, or of both, as one SQL text, for applying migrations with another tool. */
export function migrationSql(schema: string = DEFAULT_SCHEMA, part?: SchemaPart): string {
  assertSchemaName(schema);
  const chains = partsOf({ part }).map((each) => chainSql(schemaOf(schema, each), each));
  return `begin;\n\n${PIN_SEARCH_PATH};\n\n${chains.join('\n')}\ncommit;\n`;
}

function chainSql(schema: string, part: SchemaPart): string {
  const steps = CHAINS[part].map(
    ({ number, name, checksum, breaking, sql }) =>
      `-- ${part}/${name}\n${renderSql(sql, schema)}\n${renderSql(NOTHING_FOR_PUBLIC, schema)};\n` +
      `insert into "${schema}".migration (number, name, checksum, breaking)\n` +
      `values (${number}, '${name}', '${checksum}', ${breaking});\n`,
  );
  return `${renderSql(`create schema if not exists :schema;\n${LEDGER}`, schema)}\n\n${steps.join('\n')}`;
}

/**
 * Checks that this release can work with the database; called by every component that starts.
 *
 * @throws MigrationRequiredError, MigrationChangedError, SchemaTooNewError, PostgresTooOldError
 * @throws ConfigurationError when the search path of the session puts a schema ahead of `pg_catalog`
 */
export async function assertMigrated(session: SqlSession, part: SchemaPart): Promise<void> {
  await assertServer(session);
  const schema = schemaOf(session.schema, part);
  const [exists] = await session.run(tableExists, schema);
  const statement = part === 'bus' ? appliedBusMigrations : appliedMigrations;
  const applied = exists?.ledgerExists === true ? await session.run(statement) : [];
  const pending = pendingMigrations(applied, schema, part);
  if (pending.length > 0) {
    const wanted = CHAINS[part].length;
    throw new MigrationRequiredError(schema, wanted - pending.length, wanted);
  }
}

/** The number of the newest migration that has been applied to a part; it may be newer than this release. */
export async function schemaVersion(session: SqlSession, part: SchemaPart): Promise<number> {
  const applied = await session.run(part === 'bus' ? appliedBusMigrations : appliedMigrations);
  return applied.at(-1)?.number ?? 0;
}

/** Unqualified names in a migration are PostgreSQL's own, whatever the user's search path is. */
const PIN_SEARCH_PATH = 'set local search_path = pg_catalog, pg_temp';
/** PostgreSQL lets PUBLIC execute a new function; ours need a grant. */
const NOTHING_FOR_PUBLIC = 'revoke all on all routines in schema :schema from public';
/** Time limit for a migration, in milliseconds. */
const MIGRATION_TIMEOUT_MS = 600_000;
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
  part: SchemaPart,
  work: (database: PgDatabase) => Promise<T>,
): Promise<T> {
  const schema = options.schema ?? DEFAULT_SCHEMA;
  assertSchemaName(schema);
  const database = new PgDatabase({
    ...addressOf(options),
    schema: schemaOf(schema, part),
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

async function createLedger(connection: PgConnection): Promise<void> {
  const [exists] = await connection.run(tableExists, connection.schema);
  if (exists?.ledgerExists === true) return;
  // CREATE SCHEMA requires a right on the database even if the schema already exists.
  const steps = exists?.schemaExists === true ? [LEDGER] : ['create schema :schema', LEDGER];
  await connection.execute(renderSql(steps.join(';\n'), connection.schema));
}

function partsOf({ part }: { readonly part?: SchemaPart | undefined }): readonly SchemaPart[] {
  return part === undefined ? SCHEMA_PARTS : [part];
}

function pendingMigrations(applied: readonly LedgerEntry[], schema: string, part: SchemaPart): Migration[] {
  const chain = CHAINS[part];
  for (const entry of applied) {
    const known = chain.find(({ number }) => number === entry.number);
    if (known === undefined) {
      if (entry.breaking) throw new SchemaTooNewError(schema, entry.number, chain.length);
    } else if (known.checksum !== entry.checksum) {
      throw new MigrationChangedError(schema, entry.name);
    }
  }
  return chain.filter(({ number }) => !applied.some((entry) => entry.number === number));
}

/**
 * Runs work in a transaction, one migrator at a time. The lock is the transaction's: a session's would stay behind in a
 * transaction pooler, which gives the next transaction another session.
 */
async function underLock<T>(
  connection: PgConnection,
  lockTimeoutMs: number,
  work: () => Promise<T>,
): Promise<T> {
  await connection.execute('begin isolation level read committed');
  try {
    await connection.execute(`${PIN_SEARCH_PATH}; set local lock_timeout = ${lockTimeoutMs}`);
    await takeLock(connection, lockTimeoutMs);
    const result = await work();
    await connection.execute('commit');
    return result;
  } catch (error) {
    await connection.rollback();
    throw error;
  }
}

async function takeLock(connection: PgConnection, timeoutMs: number): Promise<void> {
  const lock = `waybill.migrate.${connection.schema}`;
  try {
    await connection.execute(`select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1))`, [lock]);
  } catch (error) {
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    await connection.rollback();
    const holders = describeBlockers(await connection.run(lockHolders, lock));
    const what = `Schema ${connection.schema} is being migrated by ${holders}; waited ${timeoutMs} ms for it`;
    throw new MigrationBlockedError(what, { cause: error });
  }
}

/**
 * Applies the next migration; while it cannot get its locks, it gives way to the sessions queued behind it, and retries.
 * @returns the migration; undefined when none is missing
 */
async function applyNext(
  database: PgDatabase,
  connection: PgConnection,
  part: SchemaPart,
  limits: Resolved<typeof LOCK_SPECS>,
): Promise<Migration | undefined> {
  const { ddlLockTimeoutMs, ddlAttempts } = limits;
  let pauseMs = FIRST_PAUSE_MS;
  for (let attempt = 1; ; attempt += 1) {
    const tried: { migration?: Migration } = {};
    const outcome = await whileWatched(database, (watch) =>
      underLock(connection, limits.lockTimeoutMs, async () => {
        // Read behind the lock: another migrator may have applied some since.
        const [next] = pendingMigrations(await connection.run(appliedMigrations), database.schema, part);
        if (next === undefined) return undefined;
        tried.migration = next;
        await connection.execute(`set local lock_timeout = ${ddlLockTimeoutMs}`);
        const [own] = await connection.run(ownPid);
        watch(own?.pid ?? 0);
        await apply(connection, next);
        return next;
      }),
    );
    if ('result' in outcome) return outcome.result;
    const { error, blockers } = outcome;
    const { migration } = tried;
    if (migration === undefined || sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
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

/** In the transaction that holds the migrators' lock. */
async function apply(connection: PgConnection, migration: Migration): Promise<void> {
  await connection.execute(renderSql(migration.sql, connection.schema));
  await connection.execute(renderSql(NOTHING_FOR_PUBLIC, connection.schema));
  await connection.run(
    recordMigration,
    migration.number,
    migration.name,
    migration.checksum,
    migration.breaking,
  );
}
