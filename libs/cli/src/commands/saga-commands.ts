import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigurationError, parseJson } from '@waybill/kernel';
import {
  type RecordedSaga,
  SagaDefinitions,
  SagaOperations,
  sagaDiagram,
  type SagaState,
  verifySaga,
} from '@waybill/saga';
import { isSagaDefinition, replyTopicOf } from '@waybill/saga/internal';
import type { Command } from 'commander';
import { duration, id as anId, wholeNumber } from '../arguments/arguments.js';
import { fileError } from '../output/file-error.js';
import {
  detailLines,
  IGNORED_COLUMNS,
  REFUSAL_COLUMNS,
  SAGA_COLUMNS,
  summaryLine,
} from '../output/saga-lines.js';
import { addSagaEventCommands } from './saga-event-commands.js';
import { addSagaLockCommands } from './saga-lock-commands.js';
import {
  type BulkOptions,
  bulked,
  isBulk,
  orderMany,
  queried,
  queryOf,
  type SagaQueryOptions,
} from './saga-bulk-commands.js';
import { type Decision, decided, operatorOf } from '../arguments/operator-options.js';
import { type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { line } from '../output/line.js';

interface OrderOptions extends Decision {
  readonly revision?: number;
  readonly wait: number;
}

interface SagaListOptions extends ListOptions, SagaQueryOptions {
  readonly after?: string;
  readonly limit: number;
}

/** Orders for one step. */
const STEP_ORDERS = {
  retry: 'makes the next attempt of a step that is stuck or waits, with a new budget',
  skip: 'continues as if a step, or its compensation, was not needed',
} as const;
/** Orders for a whole saga. */
const SAGA_ORDERS = {
  compensate: 'starts compensating a saga, even after its pivot',
  cancel: 'starts compensating a saga unless it has passed its pivot; it ends as CANCELLED',
} as const;

/** `waybill saga list | show | refused | ignored | events | retry | skip | resolve | compensate | cancel | verify | locks | unlock`. */
export function addSagaCommands(program: Command, output: Output): void {
  const sagas = program.command('saga').description('shows sagas and decides on them');
  addLooking(program, sagas, output);
  addRefused(program, sagas, output);
  addIgnored(program, sagas, output);
  addSagaEventCommands(program, sagas, output);
  addStepOrders(program, sagas, output);
  addSagaOrders(program, sagas, output);
  addVerify(program, sagas, output);
  addSagaLockCommands(program, sagas, output);
}

function addLooking(program: Command, sagas: Command, output: Output): void {
  queried(listing(sagas.command('list')))
    .description('lists sagas in the order of their start: active ones unless states are given')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--after <id>', 'starts after this one', anId)
    .action((options: SagaListOptions) =>
      withOperations(program, async (operations) => {
        const { limit, after } = options;
        const filter = { ...queryOf(options), limit, ...(after === undefined ? {} : { after }) };
        writeList(output, options, await operations.list(filter), SAGA_COLUMNS);
      }),
    );
  sagas
    .command('show')
    .argument('<id>', 'the saga')
    .option('--payload', 'also shows what was sent and received')
    .option('--mermaid', 'prints it as a Mermaid sequence diagram')
    .option('--json', 'prints it as JSON, for `waybill saga verify --recorded`')
    .description('shows one saga: its steps, its history, and what operators did')
    .action((id: string, options: { payload?: boolean; mermaid?: boolean; json?: boolean }) =>
      withOperations(program, async (operations) => {
        const detail = await operations.show(id);
        if (options.mermaid === true) output.write(sagaDiagram(detail));
        else if (options.json === true) output.write(`${JSON.stringify(detail)}\n`);
        else output.write(detailLines(detail, options.payload === true));
      }),
    );
}

function addRefused(program: Command, sagas: Command, output: Output): void {
  listing(sagas.command('refused'))
    .description('lists messages to sagas that were dropped because their own service did not send them')
    .option('--service <group>', 'to the sagas of this service')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .action((options: ListOptions & { readonly service?: string; readonly limit: number }) =>
      withOperations(program, async (operations) => {
        const topic = options.service === undefined ? undefined : replyTopicOf(options.service);
        writeList(output, options, await operations.refusals(topic, options.limit), REFUSAL_COLUMNS);
      }),
    );
}

function addIgnored(program: Command, sagas: Command, output: Output): void {
  listing(sagas.command('ignored'))
    .description(
      'lists what arrived for sagas without an effect: signals that nothing waited for, and late messages',
    )
    .argument('[id]', 'the saga', anId)
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--payload', 'also shows the contents', false)
    .action(
      (
        id: string | undefined,
        options: ListOptions & { readonly limit: number; readonly payload: boolean },
      ) =>
        withOperations(program, async (operations) => {
          const ignored = await operations.ignored(id, options.limit);
          writeList(
            output,
            options,
            options.payload ? ignored : ignored.map((each) => ({ ...each, payload: undefined })),
            IGNORED_COLUMNS,
          );
        }),
    );
}

function addStepOrders(program: Command, sagas: Command, output: Output): void {
  for (const name of ['retry', 'skip'] as const)
    bulked(ordered(sagas.command(name).argument('[id]', 'the saga').argument('[step]', 'its step')))
      .description(
        `${STEP_ORDERS[name]}; with --all for many sagas; without --yes, only shows what it would do`,
      )
      .action(
        async (id: string | undefined, step: string | undefined, options: OrderOptions & BulkOptions) => {
          if (isBulk([id, step], options) || id === undefined || step === undefined)
            await withOperations(program, (operations) => orderMany(operations, output, name, options));
          else
            await order(program, output, id, options, `${name} step ${step}`, (operations) =>
              operations[name](id, step, operatorOf(options), rest(options)),
            );
        },
      );
  ordered(
    sagas
      .command('resolve')
      .argument('<id>', 'the saga')
      .argument('<step>', 'its step')
      .argument('[json]', 'the JSON object that the step would have added to the data of the saga', '{}'),
  )
    .description(
      'continues as if a step, or its compensation, had succeeded; without --yes, only shows what it would do',
    )
    .action((id: string, step: string, json: string, options: OrderOptions) =>
      order(program, output, id, options, `resolve step ${step}`, (operations) =>
        operations.resolve(id, step, dataOf(json), operatorOf(options), rest(options)),
      ),
    );
}

function addSagaOrders(program: Command, sagas: Command, output: Output): void {
  for (const name of ['compensate', 'cancel'] as const)
    bulked(ordered(sagas.command(name).argument('[id]', 'the saga')))
      .description(
        `${SAGA_ORDERS[name]}; with --all for many sagas; without --yes, only shows what it would do`,
      )
      .action(async (id: string | undefined, options: OrderOptions & BulkOptions) => {
        if (isBulk([id], options) || id === undefined)
          await withOperations(program, (operations) => orderMany(operations, output, name, options));
        else
          await order(program, output, id, options, name, (operations) =>
            operations[name](id, operatorOf(options), rest(options)),
          );
      });
}

function ordered(command: Command): Command {
  return decided(command)
    .option('--revision <n>', 'only if the saga is at this revision (default: its current one)', wholeNumber)
    .option(
      '--wait <duration>',
      'how long to wait for the service to carry it out, such as 30s',
      duration(),
      10_000,
    );
}

async function order(
  program: Command,
  output: Output,
  id: string,
  options: OrderOptions,
  what: string,
  does: (operations: SagaOperations) => Promise<{ readonly state: SagaState; readonly revision: number }>,
): Promise<void> {
  await withOperations(program, async (operations) => {
    if (options.yes !== true) {
      output.write(summaryLine(await operations.show(id)));
      output.write(line`would ${what}; use --yes to do so`);
      return;
    }
    const { state, revision } = await does(operations);
    output.write(line`saga ${id}: ${what}, carried out; it is ${state} at revision ${revision}`);
  });
}

function rest({ revision, wait }: OrderOptions): { revision?: number; waitMs: number } {
  return { waitMs: wait, ...(revision === undefined ? {} : { revision }) };
}

/** @throws ConfigurationError */
function dataOf(json: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(json);
  } catch (cause) {
    throw new ConfigurationError('The step was not changed', [`its data is not JSON: ${String(cause)}`]);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigurationError('The step was not changed', ['its data must be a JSON object']);
  return value as Record<string, unknown>;
}

function addVerify(program: Command, sagas: Command, output: Output): void {
  sagas
    .command('verify')
    .requiredOption('--definitions <module>', 'a JavaScript module that exports saga definitions')
    .option('--recorded <file>', 'recorded sagas, one JSON object per line (default: those in the database)')
    .option('--limit <n>', 'at most this many of each type from the database', wholeNumber, 100)
    .description(
      'replays recorded sagas with these definitions; exits with 1 if one would behave differently',
    )
    .action(async (options: { definitions: string; recorded?: string; limit: number }) => {
      const definitions = await definitionsOf(options.definitions);
      const recorded =
        options.recorded === undefined
          ? await recordedIn(program, definitions, options.limit)
          : await recordedOf(options.recorded);
      let differences = 0;
      let checked = 0;
      for (const saga of recorded) {
        const definition = definitions.find(saga.type, saga.version);
        if (definition === undefined) continue;
        checked += 1;
        const difference = verifySaga(definition, saga);
        if (difference === undefined) continue;
        differences += 1;
        output.write(line`${saga.type} ${saga.id} differs at revision ${difference.revision}`);
        for (const step of difference.recorded) output.write(line`  recorded: ${step}`);
        for (const step of difference.now) output.write(line`  now:      ${step}`);
      }
      output.write(line`${checked} sagas were replayed, ${differences} would behave differently`);
      if (differences > 0) process.exitCode = 1;
    });
}

/** @throws ConfigurationError if the module exports none */
async function definitionsOf(path: string): Promise<SagaDefinitions> {
  let exported: unknown;
  try {
    exported = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    throw fileError('The definitions cannot be read', path, error);
  }
  const found = Object.values(exported as Record<string, unknown>).filter(isSagaDefinition);
  if (found.length === 0)
    throw new ConfigurationError('There is nothing to verify', [`${path} exports no saga definition`]);
  return new SagaDefinitions(found);
}

async function recordedOf(file: string): Promise<RecordedSaga[]> {
  const subject = 'The recorded sagas cannot be read';
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fileError(subject, file, error);
  }
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      return [parseJson(line) as RecordedSaga];
    } catch (error) {
      throw fileError(subject, `${file}, line ${index + 1}`, error);
    }
  });
}

async function recordedIn(
  program: Command,
  definitions: SagaDefinitions,
  limit: number,
): Promise<RecordedSaga[]> {
  const recorded: RecordedSaga[] = [];
  const states: SagaState[] = ['RUNNING', 'COMPENSATING', 'STUCK', 'COMPLETED', 'COMPENSATED', 'CANCELLED'];
  await withOperations(program, async (operations) => {
    for (const { type } of definitions)
      for (const { id } of await operations.list({ states, type, limit })) {
        const detail = await operations.show(id);
        if (detail.unreadable !== null)
          throw new ConfigurationError('The recorded sagas cannot be read', [detail.unreadable]);
        recorded.push(detail);
      }
  });
  return recorded;
}

async function withOperations(
  program: Command,
  work: (operations: SagaOperations) => Promise<void>,
): Promise<void> {
  await withDatabase(program, async (database, sealer) => {
    await work(new SagaOperations({ database, sealer }));
  });
}
