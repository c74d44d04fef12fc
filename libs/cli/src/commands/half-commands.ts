import {
  type HalfMessageDetail,
  HalfMessageOperations,
  type HalfMessageState,
  type HalfMessageSummary,
  HalfStore,
} from '@waybill/half-message';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { HalfMessageOpenError, isWaybillError, type PgDatabase } from '@waybill/kernel';
import type { OperatorAction } from '@waybill/dead-letter';
import { assertKnownNames } from '../log/assert-known.js';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments/arguments.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withBus } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { line } from '../output/line.js';
import { type Decision, decided, operatorOf } from '../arguments/operator-options.js';
import { payloadText } from '../output/payload-text.js';

interface DecisionOptions extends Decision {
  readonly force?: boolean;
}

interface HalfListOptions extends ListOptions {
  readonly state?: HalfMessageState[];
  readonly group?: string;
  readonly limit: number;
  readonly after?: string;
}

const EVERY_STATE: HalfMessageState[] = ['prepared', 'checking', 'undecided', 'committed', 'rolled-back'];
const STILL_ASKED: ReadonlySet<HalfMessageState> = new Set(['prepared', 'checking']);

const HALF_COLUMNS: readonly Column<HalfMessageSummary>[] = [
  { head: 'ID', of: ({ id }) => id },
  { head: 'STATE', of: ({ state }) => state },
  { head: 'PREPARED', of: ({ preparedAt }) => preparedAt },
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'TOPIC', of: ({ messages }) => messages[0]?.topic },
  { head: 'KEY', of: ({ messages }) => messages[0]?.key },
  { head: 'MESSAGES', of: ({ messages }) => messages.length, align: 'right' },
  { head: 'CHECKS', of: ({ checks, checkMax }) => `${checks} of ${checkMax ?? '?'}`, align: 'right' },
  {
    head: 'RESULT',
    of: ({ lastResult, decidedBy }) => (decidedBy === null ? lastResult : `decided by ${decidedBy}`),
  },
];

/** `waybill half list | show | commit | rollback | check`. */
export function addHalfCommands(program: Command, output: Output): void {
  const half = program.command('half').description('shows half messages and decides on them');
  addLooking(program, half, output);
  for (const verdict of ['commit', 'rollback'] as const) addDeciding(program, half, output, verdict);
  decided(half.command('check').argument('<id>', 'the half message'))
    .description('has an open half message checked again; without --yes, only shows what it would do')
    .action((id: string, options: DecisionOptions) =>
      withOperations(program, async (operations) => {
        if (options.yes !== true) {
          output.write(
            line`${sentence(await operations.show(id))} would be checked again; use --yes to do so`,
          );
          return;
        }
        await operations.check(id, operatorOf(options));
        output.write(line`half message ${id} will be checked by the next process of its group that polls`);
      }),
    );
}

function addLooking(program: Command, half: Command, output: Output): void {
  listing(half.command('list'))
    .description('lists half messages, without their payloads: the open ones unless states are given')
    .option('--state <state...>', 'prepared, checking, undecided, committed, rolled-back')
    .option('--group <name>', 'of this producer group')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--after <id>', 'starts after this one')
    .action((options: HalfListOptions) =>
      withOperations(program, async (operations, bus) => {
        const { state: states, group, limit, after } = options;
        const filter = {
          ...(states === undefined ? {} : { states }),
          ...(group === undefined ? {} : { group }),
        };
        const page = { limit, ...(after === undefined ? {} : { after }) };
        const halves = await operations.list(filter, page);
        if (halves.length === 0) await assertProducer(operations, bus, group);
        writeList(output, options, halves, HALF_COLUMNS);
      }),
    );
  half
    .command('show')
    .argument('<id>', 'the half message')
    .option('--payload', 'also shows the payloads, while it is open')
    .description('shows one half message, and what operators did with it')
    .action((id: string, options: { payload?: boolean }) =>
      withOperations(program, async (operations) =>
        writeDetail(await operations.show(id), await operations.actions(id), options, output),
      ),
    );
}

function addDeciding(program: Command, half: Command, output: Output, verdict: 'commit' | 'rollback'): void {
  const does = verdict === 'commit' ? 'delivers' : 'discards';
  decided(half.command(verdict).argument('<id>', 'the half message'))
    .description(
      `${does} the messages of an undecided half message; without --yes, only shows what it would do`,
    )
    .option('--force', 'also if it is still being checked back')
    .action((id: string, options: DecisionOptions) =>
      withOperations(program, async (operations) => {
        const end = verdict === 'commit' ? 'committed' : 'rolled back';
        if (options.yes !== true) {
          const shown = await operations.show(id);
          const needsForce = STILL_ASKED.has(shown.state) && options.force !== true;
          const how = needsForce
            ? 'it is still being checked back: use --yes --force to do so'
            : 'use --yes to do so';
          output.write(line`${sentence(shown)} would be ${end}; ${how}`);
          return;
        }
        const outcome = await decide(operations, verdict, id, options);
        output.write(line`half message ${id} ${outcome === 'done' ? 'is' : 'was already'} ${end}`);
      }),
    );
}

/** A half message that is still being checked back is left to check-back unless the operator insists. */
async function decide(
  operations: HalfMessageOperations,
  verdict: 'commit' | 'rollback',
  id: string,
  options: DecisionOptions,
): Promise<'done' | 'already'> {
  try {
    return await operations[verdict](id, operatorOf(options), { force: options.force === true });
  } catch (error) {
    if (!isWaybillError(error) || error.code !== 'HALF_MESSAGE_OPEN') throw error;
    throw new HalfMessageOpenError(id, `it is still being checked back; use --force to decide anyway`, {
      cause: error,
    });
  }
}

/** @throws NotFoundError if the group neither produces nor consumes */
async function assertProducer(
  operations: HalfMessageOperations,
  bus: PgDatabase,
  group: string | undefined,
): Promise<void> {
  if (group === undefined) return;
  const [some] = await operations.list({ group, states: EVERY_STATE }, { limit: 1 });
  if (some === undefined) await assertKnownNames(bus, { group });
}

function sentence({ id, group, state, messages }: HalfMessageSummary): string {
  return `half message ${id} of ${group} (${state}, ${messages.length} messages)`;
}

function summaryLine(half: HalfMessageSummary): string {
  const { id, state, group, preparedAt, checks, checkMax, lastResult, decidedBy, messages } = half;
  const first = messages[0];
  const more = messages.length > 1 ? ` and ${messages.length - 1} more` : '';
  const end =
    decidedBy === null
      ? `${checks} of ${checkMax ?? '?'} checks  ${lastResult?.replaceAll(/\s+/g, ' ') ?? 'not checked yet'}`
      : `decided by ${decidedBy}`;
  const what = `${first?.topic ?? '-'} key ${first?.key ?? '-'}${more}`;
  return line`${id}  ${state}  ${preparedAt.toISOString()}  group ${group}  ${what}  ${end}`;
}

function writeDetail(
  half: HalfMessageDetail,
  actions: readonly OperatorAction[],
  options: { readonly payload?: boolean },
  output: Output,
): void {
  output.write(summaryLine(half));
  if (half.reason !== null) output.write(line`reason: ${half.reason}`);
  if (half.decidedAt === null) {
    const asked = half.localDatabase === null ? 'a check' : `database ${half.localDatabase}`;
    const by = half.checkedBy === null ? '' : `  running in: ${half.checkedBy}`;
    output.write(line`checked by: ${asked}  next check ${half.nextCheckAt?.toISOString() ?? '-'}${by}`);
  }
  for (const [index, { id, topic, key }] of half.messages.entries()) {
    output.write(line`message ${id}  ${topic}  key ${key ?? '-'}`);
    for (const [name, value] of Object.entries(half.headers?.[index] ?? {}))
      output.write(line`  header ${name}: ${value}`);
    if (options.payload !== true) continue;
    const unreadable = half.unreadable?.[index] ?? null;
    const payload = half.payloads?.[index];
    output.write(line`  ${payload === undefined ? '(gone)' : payloadText({ payload, unreadable })}`);
  }
  for (const { actedAt, actor, by, action, reason } of actions) {
    output.write(
      line`${actedAt.toISOString()}  ${by}: ${action}${reason === null ? '' : `, ${reason}`} (login ${actor})`,
    );
  }
}

async function withOperations(
  program: Command,
  work: (operations: HalfMessageOperations, bus: PgDatabase) => Promise<void>,
): Promise<void> {
  await withBus(program, async ({ database, bus, sealer }) => {
    const log = new PostgresLogEngine(bus, { service: database });
    log.signals.start();
    try {
      const store = new HalfStore({ database, log });
      await work(new HalfMessageOperations(database, store, sealer), bus);
    } finally {
      await log.signals.stop();
    }
  });
}
