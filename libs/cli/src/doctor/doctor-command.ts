import { ConfigurationError, PgDatabase, systemClock } from '@waybill/kernel';
import { type Command, CommanderError } from 'commander';
import type { DatabasePart, Role } from '@waybill/schema';
import { examine } from './doctor.js';
import type { Finding } from './finding.js';
import { duration } from '../arguments/arguments.js';
import { part, roles } from '../roles/role-arguments.js';
import { target } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { line } from '../output/line.js';

interface DoctorOptions {
  readonly redis?: string | true;
  readonly transactionAge: number;
  readonly retryHorizon: number;
  readonly role?: readonly Role[];
  readonly login?: string;
  readonly part?: DatabasePart;
  readonly json?: true;
}

const WRONG_USE = 2;

/** Adds `doctor`: what stands in Waybill's way, and what to do about it. */
export function addDoctorCommand(program: Command, output: Output): void {
  program
    .command('doctor')
    .description(
      'examines the database, and Redis; exits with 1 when there are problems, with 2 on wrong use',
    )
    .option('--redis [url]', 'also examine this Redis, redis://… (without a URL: that of REDIS_URL)')
    .option(
      '--transaction-age <duration>',
      'a transaction that is open for longer is a problem, as 5m; a number alone is in seconds',
      duration('s'),
      300_000,
    )
    .option(
      '--retry-horizon <duration>',
      'how long messages may fail, or consumers stand still, without losing records, as 2d; a number alone is in hours',
      duration('h'),
      86_400_000,
    )
    .option(
      '--role <roles>',
      'compare the rights of the login with those of a role, or of several with commas',
      roles,
    )
    .option('--login <name>', 'the login that --role is about (default: the one of the connection)')
    .option(
      '--part <part>',
      'what is in the database: whole, bus or participant (default: by the role)',
      part,
    )
    .option('--json', 'the findings as JSON')
    .exitOverride((error) => {
      throw new CommanderError(error.exitCode === 0 ? 0 : WRONG_USE, error.code, error.message);
    })
    .action((options: DoctorOptions) => examineAndTell(program, output, options));
}

async function examineAndTell(program: Command, output: Output, options: DoctorOptions): Promise<void> {
  let database: PgDatabase;
  let redisUrl: string | undefined;
  try {
    redisUrl = redisOf(options);
    database = new PgDatabase({ ...target(program), connectionsMax: 2, applicationName: 'waybill doctor' });
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    output.write(line`${error.message}`);
    process.exitCode = WRONG_USE;
    return;
  }
  try {
    const findings = await examine({
      database,
      clock: systemClock,
      transactionAgeMs: options.transactionAge,
      retryHorizonMs: options.retryHorizon,
      ...(redisUrl === undefined ? {} : { redisUrl }),
      ...(options.role === undefined
        ? {}
        : { question: { roles: options.role, login: options.login, part: options.part } }),
    });
    output.write(options.json === true ? `${JSON.stringify(findings)}\n` : findings.map(lineOf).join(''));
    if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1;
  } finally {
    await database.close();
  }
}

function redisOf({ redis }: DoctorOptions): string | undefined {
  if (redis !== true) return redis;
  const url = process.env['REDIS_URL'] ?? '';
  if (url !== '') return url;
  throw new ConfigurationError('There is no Redis to examine', ['set REDIS_URL, or give --redis a URL']);
}

function lineOf({ check, state, text, advice }: Finding): string {
  return line`${state.padEnd(7)}  ${check.padEnd(12)}  ${text}${advice === undefined ? '' : ` -> ${advice}`}`;
}
