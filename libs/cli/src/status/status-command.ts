import { ConfigurationError, describeError, PgDatabase, systemClock } from '@waybill/kernel';
import { type Command, CommanderError, InvalidArgumentError } from 'commander';
import { duration } from '../arguments/arguments.js';
import { openBus, target } from '../arguments/target.js';
import { line } from '../output/line.js';
import type { Output } from '../output/output.js';
import { writePage } from './page.js';
import { readStatus, type StatusTarget } from './read-status.js';
import type { State } from './section.js';

interface StatusOptions {
  readonly watch?: number | true;
  readonly json?: true;
  readonly transactionAge: number;
}

const WRONG_USE = 2;
const WATCH_MS = 2_000;
/** With shorter pauses the command would be a load. */
const LEAST_WATCH_MS = 100;
const SESSION = {
  connectionsMax: 1,
  applicationName: 'waybill status',
  connectTimeoutMs: 5_000,
  queryTimeoutMs: 10_000,
};
const STOPS = ['SIGINT', 'SIGTERM'] as const;

/** Adds `status`: one page that says what waits, since when, what holds it up, and what to do. */
export function addStatusCommand(program: Command, output: Output): void {
  program
    .command('status')
    .description(
      'shows on one page what waits in a service and its bus, since when, what holds it up, and what to do; exits with 1 if something is stuck, with 2 on incorrect use',
    )
    .option(
      '--watch [duration]',
      'shows it again and again until Ctrl-C, with pauses such as 10s; a number without a unit is in seconds (default 2s)',
      pause,
    )
    .option(
      '--transaction-age <duration>',
      'a transaction that is open for longer is stuck, such as 5m; a number without a unit is in seconds',
      duration('s'),
      300_000,
    )
    .option('--json', 'prints the page as JSON; with --watch, one line each time')
    .exitOverride((error) => {
      throw new CommanderError(error.exitCode === 0 ? 0 : WRONG_USE, error.code, error.message);
    })
    .action((options: StatusOptions) => showStatus(program, output, options));
}

function pause(value: string): number {
  const ms = duration('s')(value);
  if (ms < LEAST_WATCH_MS) throw new InvalidArgumentError(`must be at least ${LEAST_WATCH_MS}ms`);
  return ms;
}

async function showStatus(program: Command, output: Output, options: StatusOptions): Promise<void> {
  let database: PgDatabase;
  let bus: PgDatabase;
  try {
    database = new PgDatabase({ ...target(program), ...SESSION });
    bus = openBus(program, SESSION) ?? database;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    output.write(line`${error.message}`);
    process.exitCode = WRONG_USE;
    return;
  }
  const status = { database, bus, transactionAgeMs: options.transactionAge };
  try {
    if (options.watch === undefined) {
      if ((await showOnce(output, status, options)) === 'stuck') process.exitCode = 1;
    } else await watch(output, status, options);
  } finally {
    await database.close();
    if (bus !== database) await bus.close();
  }
}

async function showOnce(output: Output, target: StatusTarget, { json }: StatusOptions): Promise<State> {
  const status = await readStatus(target);
  const at = new Date(systemClock.now());
  if (json === true) output.write(`${JSON.stringify({ at, ...status })}\n`);
  else writePage(output, status, at);
  return status.state;
}

/** Shows the page again and again, until the process is told to stop. A lost connection is shown, and tried again. */
async function watch(output: Output, target: StatusTarget, options: StatusOptions): Promise<void> {
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
    // A statement that waits for its response would delay the end.
    target.database.cutOff();
    target.bus.cutOff();
  };
  for (const signal of STOPS) process.once(signal, end);
  const pauseMs = typeof options.watch === 'number' ? options.watch : WATCH_MS;
  try {
    while (!stop.signal.aborted) {
      await repaint(output, target, options, stop.signal);
      await systemClock.sleep(pauseMs, stop.signal);
    }
  } finally {
    for (const signal of STOPS) process.off(signal, end);
  }
}

async function repaint(
  output: Output,
  target: StatusTarget,
  options: StatusOptions,
  signal: AbortSignal,
): Promise<void> {
  let page = '';
  try {
    await showOnce({ write: (text) => (page += text) }, target, options);
  } catch (error) {
    page = line`the page could not be read, and is tried again: ${describeError(error)}`;
  }
  if (signal.aborted) return;
  if (options.json !== true) output.clear?.();
  output.write(page);
}
