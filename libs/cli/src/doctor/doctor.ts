import { type Clock, describeError, type PgDatabase } from '@waybill/kernel';
import {
  checkMigrations,
  checkRetention,
  checkRowSecurity,
  checkServer,
  checkTransactions,
  type DoctorLimits,
} from './check-databases.js';
import type { RoleQuestion } from '@waybill/schema/internal';
import { checkHistory } from './check-history.js';
import { checkConsumers } from './check-consumers.js';
import { type Finding, problem } from './finding.js';
import { checkOutbox, checkQuarantine } from './check-outbox.js';
import { checkPooler } from './check-pooler.js';
import { checkRedis } from './check-redis.js';
import { checkPrivileges, checkRole } from './check-role.js';

/** What to check. */
export interface Patient extends DoctorLimits {
  readonly database: PgDatabase;
  /** The database of its bus: the same one, or another. */
  readonly bus: PgDatabase;
  /** The clock of this machine. */
  readonly clock: Clock;
  readonly redisUrl?: string;
  /** The roles that a login should have. Default: checks whether the connection's login has the rights of a service. */
  readonly question?: RoleQuestion;
}

/** Checks a database, and Redis if given. Changes nothing; a check that cannot run is a problem. */
export async function examine(patient: Patient): Promise<Finding[]> {
  const { redisUrl } = patient;
  const ofRedis = redisUrl === undefined ? [] : [await checkRedis(redisUrl)];
  return [...(await examineDatabase(patient)), ...ofRedis];
}

async function examineDatabase(patient: Patient): Promise<Finding[]> {
  const { database, bus, clock, question } = patient;
  let findings: Finding[];
  try {
    findings = await checkServer(database, clock);
  } catch (error) {
    const advice = 'Start it, or correct DATABASE_URL; nothing else could be checked.';
    return [problem('postgresql', `it cannot be reached: ${describeError(error)}`, advice)];
  }
  findings.push(
    await checkPooler(database),
    await attempt('transactions', () => checkTransactions(database, patient)),
  );
  const migrations = await attempt('migrations', () => checkMigrations(database, bus));
  const privileges = await attempt('privileges', () =>
    question === undefined ? checkPrivileges(database) : checkRole(database, question),
  );
  findings.push(migrations, privileges, await attempt('row security', () => checkRowSecurity(database)));
  if (migrations.state === 'ok')
    findings.push(await attempt('retention', () => checkRetention(bus, patient)));
  // A login that may only publish cannot see consumers.
  if (migrations.state === 'ok' && privileges.state === 'ok')
    findings.push(
      await attempt('consumers', () => checkConsumers(bus)),
      ...(await troubleOf('history', () => checkHistory(database, bus))),
      ...(await troubleOf('outbox', () => checkOutbox(database))),
      ...(await troubleOf('quarantine', () => checkQuarantine(database))),
    );
  return findings;
}

/** For conditions that resolve themselves, only problems are reported. */
async function troubleOf(check: string, look: () => Promise<Finding>): Promise<Finding[]> {
  const finding = await attempt(check, look);
  return finding.state === 'ok' ? [] : [finding];
}

async function attempt(check: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return problem(
      check,
      `the check failed: ${describeError(error)}`,
      'Grant this login the missing rights.',
    );
  }
}
