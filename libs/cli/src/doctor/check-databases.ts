import { type Clock, isWaybillError, type PgDatabase } from '@waybill/kernel';
import { assertMigrated } from '@waybill/schema';
import { findRowSecurity, listed, ROW_SECURITY_REMEDY } from '@waybill/schema/internal';
import { examineServer, oldestTransaction, shortRetentions } from '../statements.generated.js';
import { type Finding, ok, problem, warning } from './finding.js';

/** Limits that the checks compare with. */
export interface DoctorLimits {
  /** A transaction that is open for longer is a problem, in milliseconds. */
  readonly transactionAgeMs: number;
  /** How long a message may fail, or a consumer may be stopped, without losing records, in milliseconds. */
  readonly retryHorizonMs: number;
}

const OLDEST_VERSION = 140_000;
const SKEW_MS = 1_000;
const HOUR_MS = 3_600_000;
const SHOWN = 5;

/** Version, isolation and clock of the server. */
export async function checkServer(database: PgDatabase, clock: Clock): Promise<Finding[]> {
  const before = clock.now();
  const [row] = await database.session.run(examineServer);
  const middle = (before + clock.now()) / 2;
  if (row === undefined) return [];
  const skewMs = Math.round(row.now.getTime() - middle);
  return [
    row.versionNumber >= OLDEST_VERSION
      ? ok('postgresql', `version ${row.version}`)
      : problem('postgresql', `version ${row.version} is too old`, 'Use PostgreSQL 14 or later.'),
    row.isolation === 'read committed'
      ? ok('isolation', 'transactions are READ COMMITTED by default')
      : problem(
          'isolation',
          `transactions are ${row.isolation.toUpperCase()} by default; guards refuse this in your transactions`,
          "alter database … set default_transaction_isolation to 'read committed', or start your transactions with this level.",
        ),
    Math.abs(skewMs) <= SKEW_MS
      ? ok('clock', `the clocks of this machine and the database differ by at most ${Math.abs(skewMs)} ms`)
      : warning(
          'clock',
          `the database's clock is ${Math.abs(skewMs)} ms ${skewMs > 0 ? 'ahead of' : 'behind'} this machine's`,
          'Synchronise both with NTP. Waybill uses the clock of the database: times from an application may be early or late by this difference.',
        ),
  ];
}

/** Whether the schemas exist in the versions that this release needs. */
export async function checkMigrations(database: PgDatabase, bus: PgDatabase): Promise<Finding> {
  try {
    await assertMigrated(database.session, 'service');
    await assertMigrated(bus.session, 'bus');
    return ok('migrations', 'the schemas are up to date');
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return problem(
      'migrations',
      error.message,
      'Run `npx waybill migrate`, and `npx waybill migrate --bus` for the bus, with a login that owns the schema.',
    );
  }
}

/** Whether row-level security hides Waybill's own rows from this login. */
export async function checkRowSecurity(database: PgDatabase): Promise<Finding> {
  const { hidden, filtered } = await findRowSecurity(database.session);
  if (hidden.length > 0)
    return problem(
      'row security',
      `row-level security hides all rows of ${listed(hidden)} from this login`,
      ROW_SECURITY_REMEDY,
    );
  if (filtered.length === 0) return ok('row security', 'every row is visible to this login');
  return warning(
    'row security',
    `row-level security applies to ${listed(filtered)}: rows that its policies exclude are hidden`,
    ROW_SECURITY_REMEDY,
  );
}

/** Whether something holds back vacuum, and with it all loops that empty tables. */
export async function checkTransactions(database: PgDatabase, limits: DoctorLimits): Promise<Finding> {
  const [oldest] = await database.session.run(oldestTransaction);
  const unseen =
    oldest === undefined || oldest.seesAll
      ? ''
      : ' (of those visible to this login: grant it pg_monitor to see all)';
  if (oldest === undefined || oldest.ageMs <= limits.transactionAgeMs)
    return ok('transactions', `none is older than ${limits.transactionAgeMs / 1_000} s${unseen}`);
  return problem(
    'transactions',
    `${oldest.who} has a transaction open for ${Math.round(oldest.ageMs / 1_000)} s${unseen}; rows deleted since then cannot be cleaned up`,
    'End it: commit or roll back, pg_terminate_backend(pid), or rollback prepared; and set idle_in_transaction_session_timeout.',
  );
}

/** Whether records are kept as long as they may be needed. */
export async function checkRetention(database: PgDatabase, limits: DoctorLimits): Promise<Finding> {
  const short = await database.session.run(shortRetentions, limits.retryHorizonMs);
  const hours = limits.retryHorizonMs / HOUR_MS;
  if (short.length === 0) return ok('retention', `every topic keeps its records for at least ${hours} h`);
  const names = short
    .slice(0, SHOWN)
    .map(({ name, retentionMs }) => `${name} (${Math.round((retentionMs / HOUR_MS) * 100) / 100} h)`);
  return problem(
    'retention',
    `records are removed before the retry horizon of ${hours} h: ${names.join(', ')}${short.length > SHOWN ? ', …' : ''}`,
    'Raise the retention with `waybill topic set NAME --retention 7d`, or set a shorter horizon with --retry-horizon.',
  );
}
