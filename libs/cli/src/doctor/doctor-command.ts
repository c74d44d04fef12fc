import { ConfigurationError, PgDatabase, systemClock } from '@waybill/kernel';
import { type Command, CommanderError } from 'commander';
import type { Role } from '@waybill/schema';
import { examine } from './doctor.js';
import type { Finding } from './finding.js';
import { duration } from '../arguments/arguments.js';
import { partOf } from '../arguments/bus-option.js';
import { roles } from '../roles/role-arguments.js';
import { openBus, target } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { line } from '../output/line.js';

interface DoctorOptions {
  readonly redis?: string | true;
  readonly transactionAge: number;
  readonly retryHorizon: number;
  readonly role?: readonly Role[];
  readonly login?: string;
  readonly bus?: true;
  readonly json?: true;
}

const WRONG_USE = 2;

/** Adds `doctor`: finds what keeps Waybill from working, and what to do about it. */
export function addDoctorCommand(program: Command, output: Output): void {
  program
    .command('doctor')
    .description('checks the database and Redis; exits with 1 if there are problems, with 2 on incorrect use')
    .option('--redis [url]', 'also checks this Redis, redis://… (without a URL: REDIS_URL)')
    .option(
      '--transaction-age <duration>',
      'a transaction that is open for longer is a problem, such as 5m; a number without a unit is in seconds',
      duration('s'),
      300_000,
    )
    .option(
      '--retry-horizon <duration>',
      'how long messages may fail, or consumers may be stopped, without losing records, such as 2d; a number without a unit is in hours',
      duration('h'),
      86_400_000,
    )
    .option(
      '--role <roles>',
      'compares the rights of the login with those of a role, or of several, separated by commas',
      roles,
    )
    .option('--login <name>', 'the login that --role checks (default: the one of the connection)')
    .option('--bus', 'with --role: the rights on the bus; otherwise those in the database of a service')
    .option('--json', 'prints the findings as JSON')
    .exitOverride((error) => {
      throw new CommanderError(error.exitCode === 0 ? 0 : WRONG_USE, error.code, error.message);
    })
    .action((options: DoctorOptions) => examineAndTell(program, output, options));
}

async function examineAndTell(program: Command, output: Output, options: DoctorOptions): Promise<void> {
  let database: PgDatabase;
  let bus: PgDatabase;
  let redisUrl: string | undefined;
  try {
    redisUrl = redisOf(options);
    const session = { connectionsMax: 2, applicationName: 'waybill doctor' };
    database = new PgDatabase({ ...target(program), ...session });
    bus = openBus(program, session) ?? database;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    output.write(line`${error.message}`);
    process.exitCode = WRONG_USE;
    return;
  }
  try {
    const findings = await examine({
      database,
      bus,
      clock: systemClock,
      transactionAgeMs: options.transactionAge,
      retryHorizonMs: options.retryHorizon,
      ...(redisUrl === undefined ? {} : { redisUrl }),
      ...(options.role === undefined
        ? {}
        : { question: { roles: options.role, login: options.login, part: partOf(options) } }),
    });
    output.write(options.json === true ? `${JSON.stringify(findings)}\n` : findings.map(lineOf).join(''));
    if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1;
  } finally {
    await database.close();
    if (bus !== database) await bus.close();
  }
}

function redisOf({ redis }: DoctorOptions): string | undefined {
  if (redis !== true) return redis;
  const url = process.env['REDIS_URL'] ?? '';
  if (url !== '') return url;
  throw new ConfigurationError('No Redis is given', ['set REDIS_URL, or use --redis with a URL']);
}

function lineOf({ check, state, text, advice }: Finding): string {
  return line`${state.padEnd(7)}  ${check.padEnd(12)}  ${text}${advice === undefined ? '' : ` -> ${advice}`}`;
}
