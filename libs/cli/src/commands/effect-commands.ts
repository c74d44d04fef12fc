import { ConfigurationError, parseJson } from '@waybill/kernel';
import { type EffectDetail, EffectOperations, type EffectState, type EffectSummary } from '@waybill/guard';
import type { Command } from 'commander';
import { duration, wholeNumber } from '../arguments/arguments.js';
import { line } from '../output/line.js';
import { type Decision, decided, operatorOf } from '../arguments/operator-options.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';

interface EffectListOptions extends ListOptions {
  /** One of the states of effects, or `open`. */
  readonly state?: string[];
  readonly olderThan?: number;
  readonly after?: string;
  readonly limit: number;
}

const OPEN: readonly EffectState[] = ['in-progress', 'unknown'];

const EFFECT_COLUMNS: readonly Column<EffectSummary>[] = [
  { head: 'KEY', of: ({ key }) => key },
  { head: 'STATE', of: ({ state }) => state },
  { head: 'FIRST', of: ({ firstAt }) => firstAt },
  { head: 'LAST', of: ({ lastAt }) => lastAt },
  { head: 'ATTEMPTS', of: ({ attempts }) => attempts, align: 'right' },
  { head: 'REFUSALS', of: ({ refusals }) => refusals, align: 'right' },
];

/** `waybill effect list | show | decide`: effects outside of any database. */
export function addEffectCommands(program: Command, output: Output): void {
  const effects = program.command('effect').description('shows external effects and decides on them');
  listing(effects.command('list'))
    .description('lists external effects by their keys: the open ones unless states are given')
    .option(
      '--state <state...>',
      'open (in-progress and unknown), in-progress, unknown, done, refused, given-up',
    )
    .option(
      '--older-than <duration>',
      'first attempted at least this long ago, such as 90s or 2h',
      duration(),
    )
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--after <key>', 'starts after this one')
    .action((options: EffectListOptions) =>
      withOperations(program, async (operations) => {
        const { state, olderThan, limit, after } = options;
        const states = state?.flatMap((name) => (name === 'open' ? OPEN : [name as EffectState]));
        const found = await operations.list({
          limit,
          ...(states === undefined ? {} : { states }),
          ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
          ...(after === undefined ? {} : { after }),
        });
        writeList(output, options, found, EFFECT_COLUMNS);
      }),
    );
  effects
    .command('show')
    .argument('<key>', 'its key')
    .option('--payload', 'also shows its result')
    .description('shows one external effect')
    .action((key: string, { payload = false }: { payload?: boolean }) =>
      withOperations(program, async (operations) => writeDetail(await operations.show(key), payload, output)),
    );
  addDeciding(program, effects, output);
}

function addDeciding(program: Command, effects: Command, output: Output): void {
  decided(
    effects
      .command('decide')
      .argument('<key>', 'its key')
      .argument(
        '<decision>',
        'done: it has happened; not-done: it has not, and no call in flight can still do it',
      )
      .argument('[json]', 'its result, for done'),
  )
    .description('decides how an external effect ended; without --yes, only shows what it would do')
    .action((key: string, decision: string, json: string | undefined, options: Decision) =>
      withOperations(program, async (operations) => {
        const outcome = json === undefined ? undefined : outcomeOf(json);
        if (options.yes !== true) {
          const { state } = await operations.show(key);
          output.write(line`effect ${key} (${state}) would be ${decision}; use --yes to decide this`);
          return;
        }
        const before = await operations.decide(key, decision as 'done', operatorOf(options), outcome);
        output.write(line`effect ${key} was ${before}, and is ${decision}`);
      }),
    );
}

function writeDetail(effect: EffectDetail, payload: boolean, output: Output): void {
  const { key, state, firstAt, lastAt, leaseUntil, decidedAt, attempts, refusals } = effect;
  output.write(line`${key}  ${state}  ${attempts} attempts and queries, ${refusals} refusals`);
  output.write(line`first at ${firstAt.toISOString()}  last at ${lastAt?.toISOString() ?? '-'}`);
  if (leaseUntil !== null)
    output.write(line`no other process may attempt it until ${leaseUntil.toISOString()}`);
  if (decidedAt !== null) output.write(line`decided at ${decidedAt.toISOString()}`);
  if (effect.unreadable !== null) output.write(line`(encrypted; give --cipher) ${effect.unreadable}`);
  else if (payload)
    output.write(line`${state === 'refused' ? 'reason' : 'outcome'} ${JSON.stringify(effect.outcome)}`);
}

/** @throws ConfigurationError */
function outcomeOf(json: string): unknown {
  try {
    return parseJson(json);
  } catch (cause) {
    throw new ConfigurationError('The effect was not changed', [`its outcome is not JSON: ${String(cause)}`]);
  }
}

function withOperations(
  program: Command,
  work: (operations: EffectOperations) => Promise<void>,
): Promise<void> {
  return withDatabase(program, (database, sealer) => work(new EffectOperations({ database, sealer })));
}
