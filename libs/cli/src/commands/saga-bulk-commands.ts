import { ConfigurationError } from '@waybill/kernel';
import { dictionary } from '@waybill/kernel/internal';
import type { SagaBulkOrder, SagaBulkProgress, SagaOperations, SagaQuery, SagaState } from '@waybill/saga';
import type { Command } from 'commander';
import { collect, duration, wholeNumber } from '../arguments/arguments.js';
import { line } from '../output/line.js';
import { operatorOf } from '../arguments/operator-options.js';
import type { Output } from '../output/output.js';

/** Options that select sagas. */
export interface SagaQueryOptions {
  readonly state?: SagaState[];
  readonly type?: string;
  readonly key?: string;
  readonly olderThan?: number;
  readonly where: readonly string[];
  readonly step?: string;
}

/** Options of a bulk order. */
export interface BulkOptions extends SagaQueryOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly rate?: number;
  readonly resume?: number;
  readonly revision?: number;
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
  readonly wait: number;
}

/** What a bulk order would do, by order. */
const WOULD: Readonly<Record<SagaBulkOrder, string>> = {
  retry: 'sagas would have a step retried',
  skip: 'sagas would have a step skipped',
  compensate: 'sagas would be compensated',
  cancel: 'sagas would be cancelled',
};

const UNDER_WAY: readonly SagaState[] = ['RUNNING', 'COMPENSATING', 'STUCK'];
const ENDS: readonly SagaState[] = ['COMPLETED', 'COMPENSATED', 'CANCELLED'];

/** Adds the options that select sagas. @param states that they may have */
export function queried(command: Command, states = [...UNDER_WAY, ...ENDS]): Command {
  return command
    .option('--state <state...>', states.join(', '))
    .option('--type <type>', 'of this type')
    .option('--key <prefix>', 'with a key that begins with this')
    .option('--older-than <duration>', 'started at least this long ago, such as 90s or 2h', duration())
    .option(
      '--where <name=value>',
      'with this attribute, such as customer=17850; several must all match',
      collect,
      [],
    )
    .option('--step <step>', 'at this step, or at one of its items');
}

/** Adds the options of bulk orders. */
export function bulked(command: Command): Command {
  return queried(command.option('--all', 'all sagas that the options below select, instead of one'), [
    ...UNDER_WAY,
  ])
    .option('--dry-run', 'with --all: only counts them, the same as without --yes')
    .option('--rate <n>', 'with --all: sagas per second (default 500)', wholeNumber)
    .option('--resume <bulk>', 'continues an interrupted bulk order', wholeNumber);
}

/** The sagas that the options select. @throws ConfigurationError */
export function queryOf({ state, type, key, olderThan, where, step }: SagaQueryOptions): SagaQuery {
  return {
    ...(state === undefined ? {} : { states: state }),
    ...(type === undefined ? {} : { type }),
    ...(key === undefined ? {} : { keyPrefix: key }),
    ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
    ...(where.length === 0 ? {} : { where: attributesOf(where) }),
    ...(step === undefined ? {} : { step }),
  };
}

/** Whether the order is a bulk order. @throws ConfigurationError if the options are ambiguous */
export function isBulk(words: readonly (string | undefined)[], options: BulkOptions): boolean {
  const given = words.filter((word) => word !== undefined);
  const isMany = options.all === true || options.resume !== undefined;
  const named = Object.keys(queryOf(options)).length > 0;
  if (isMany && given.length > 0) throw refusal('give one saga or --all, not both');
  if (options.resume !== undefined && (options.all === true || named || options.rate !== undefined))
    throw refusal('--resume continues a bulk order: it takes neither --all, nor sagas, nor a rate');
  if (isMany && options.revision !== undefined)
    throw refusal('--revision is for one saga: a bulk order uses the revision that it sees of each');
  if (options.dryRun === true && options.yes === true) throw refusal('use --dry-run or --yes, not both');
  if (isMany) return true;
  if (named || options.rate !== undefined || options.dryRun === true)
    throw refusal('options that select sagas, --rate and --dry-run need --all');
  if (given.length < words.length)
    throw refusal(`give ${words.length === 1 ? 'a saga' : 'a saga and its step'}, or --all`);
  return false;
}

/** Runs a bulk order, or reports how many sagas it would concern. */
export async function orderMany(
  operations: SagaOperations,
  output: Output,
  order: SagaBulkOrder,
  options: BulkOptions,
): Promise<void> {
  const id = options.resume ?? (await begin(operations, output, order, options));
  if (id === undefined) return;
  if (options.resume !== undefined) await assertResumable(operations, id, order);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const end = await operations.bulk.resume(id, {
    signal: interrupted.signal,
    waitMs: options.wait,
    onProgress: ({ ordered, total, applied }) =>
      output.write(line`bulk order ${id}: ${ordered} of ${total} given, ${applied} carried out`),
  });
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  writeEnd(output, order, end, interrupted.signal.aborted);
}

async function begin(
  operations: SagaOperations,
  output: Output,
  order: SagaBulkOrder,
  options: BulkOptions,
): Promise<number | undefined> {
  const query = queryOf(options);
  if (options.yes === true) {
    const rate = options.rate === undefined ? {} : { perSecond: options.rate };
    const { id, unreadable } = await operations.bulk.start(order, query, { ...operatorOf(options), ...rate });
    writeUnreadable(output, unreadable);
    return id;
  }
  const { sagas, unreadable } = await operations.bulk.count(order, query);
  output.write(line`${sagas} ${WOULD[order]}; use --yes to do so`);
  writeUnreadable(output, unreadable);
  return undefined;
}

function writeUnreadable(output: Output, unreadable: number): void {
  if (unreadable > 0)
    output.write(line`${unreadable} more cannot be read, so their steps are unknown: use --cipher`);
}

async function assertResumable(operations: SagaOperations, id: number, order: SagaBulkOrder): Promise<void> {
  const { order: begun } = await operations.bulk.show(id);
  if (begun !== order)
    throw refusal(`bulk order ${id} is a ${begun} order: use waybill saga ${begun} --resume ${id}`);
}

function writeEnd(output: Output, order: SagaBulkOrder, end: SagaBulkProgress, isInterrupted: boolean): void {
  const { id, state, applied, refused, skipped, waiting } = end;
  if (state === 'running') {
    if (!isInterrupted)
      output.write(line`${waiting} orders wait: no process of their service carries them out`);
    output.write(line`interrupted; continue with: waybill saga ${order} --resume ${id}`);
    process.exitCode = 130;
    return;
  }
  output.write(
    line`bulk order ${id} is ${state}: ${applied} carried out, ${refused} refused, ${skipped} skipped because they had changed`,
  );
  if (waiting === 0) return;
  output.write(
    line`${waiting} orders wait: they are carried out when their service runs, if the saga is unchanged`,
  );
  process.exitCode = 1;
}

/** @throws ConfigurationError */
function attributesOf(texts: readonly string[]): Readonly<Record<string, string>> {
  const where = dictionary<string>();
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1)
      throw new ConfigurationError('Sagas cannot be listed', [`--where takes name=value, got ${text}`]);
    const name = text.slice(0, at);
    if (Object.hasOwn(where, name))
      throw new ConfigurationError('Sagas cannot be listed', [
        `--where gives ${name} twice, but a saga has only one attribute of that name`,
      ]);
    where[name] = text.slice(at + 1);
  }
  return where;
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('The sagas were not changed', [problem]);
}
