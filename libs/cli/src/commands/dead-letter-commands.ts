import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { ConfigurationError } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { type DeadLetterFilter, DeadLetters, Redrives } from '@waybill/dead-letter';
import { isEmptyFilter } from '@waybill/dead-letter/internal';
import { type Command, Option } from 'commander';
import { collect, time, wholeNumber } from '../arguments/arguments.js';
import { exportLine, GROUP_COLUMNS, LETTER_COLUMNS, writeDetail } from '../output/dead-letter-lines.js';
import { fileError } from '../output/file-error.js';
import { assertKnownNames } from '../log/assert-known.js';
import { type ListOptions, listing, writeList } from '../output/table.js';
import { withBus } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { line } from '../output/line.js';

interface FilterOptions {
  readonly all?: boolean;
  readonly group?: string;
  readonly topic?: string;
  readonly handler?: string;
  readonly key?: string;
  readonly reason?: string;
  readonly error?: string;
  readonly fingerprint?: string;
  readonly message?: string;
  readonly state?: readonly DeadLetterStateName[];
  readonly from?: Date;
  readonly to?: Date;
  readonly where: readonly string[];
}

type DeadLetterStateName = NonNullable<DeadLetterFilter['states']>[number];

interface DecisionOptions {
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
}

/** What the commands work with. */
interface Operations {
  readonly deadLetters: DeadLetters;
  readonly redrives: Redrives;
}

/** `waybill dlq list | show | redrive | edit | discard | export`. */
export function addDeadLetterCommands(program: Command, output: Output): void {
  const dlq = program.command('dlq').description('shows dead letters and decides on them');
  addLooking(program, dlq, output);
  addRedrive(program, dlq, output);
  addEditing(program, dlq, output);
}

function addLooking(program: Command, dlq: Command, output: Output): void {
  listing(filtered(dlq.command('list')))
    .description('lists dead letters, without their payloads')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--after <id>', 'starts after this one', wholeNumber, 0)
    .option('--groups', 'counts dead letters by kind of failure instead')
    .action((options: FilterOptions & ListOptions & { limit: number; after: number; groups?: boolean }) =>
      withOperations(program, options, async ({ deadLetters }) => {
        const { limit, after } = options;
        const filter = filterOf(options);
        if (options.groups === true)
          writeList(output, options, await deadLetters.groups(filter, limit), GROUP_COLUMNS);
        else writeList(output, options, await deadLetters.list(filter, { limit, after }), LETTER_COLUMNS);
      }),
    );
  dlq
    .command('show')
    .argument('<id>', 'the dead letter', wholeNumber)
    .option('--payload', 'also shows the payload')
    .description('shows one dead letter, and what operators did with it')
    .action((id: number, options: { payload?: boolean }) =>
      withOperations(program, {}, async ({ deadLetters }) =>
        writeDetail(await deadLetters.show(id), await deadLetters.actions(id), options, output),
      ),
    );
  filtered(dlq.command('export'))
    .description('writes dead letters with their payloads (base64), one JSON object per line')
    .action((options: FilterOptions) =>
      withOperations(program, options, async ({ deadLetters }) => {
        for await (const letter of deadLetters.export(filterOf(options))) output.write(exportLine(letter));
      }),
    );
}

function addRedrive(program: Command, dlq: Command, output: Output): void {
  decided(filtered(dlq.command('redrive').argument('[id...]', 'dead letters')))
    .description(
      'delivers open dead letters again to the handlers that failed; without --yes, only counts them',
    )
    .option('--rate <n>', 'messages per second', wholeNumber, 500)
    .option('--resume <redrive>', 'continues an interrupted redrive', wholeNumber)
    .action((ids: string[], options: FilterOptions & DecisionOptions & { rate: number; resume?: number }) =>
      withOperations(program, options, async (operations) => {
        const id = options.resume ?? (await startRedrive(operations, ids, options, output));
        if (id === undefined) return;
        const interrupted = new AbortController();
        const interrupt = (): void => interrupted.abort();
        process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
        const end = await operations.redrives.resume(id, {
          signal: interrupted.signal,
          onProgress: ({ redriven, total }) => output.write(line`redrive ${id}: ${redriven} of ${total}`),
        });
        process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
        if (end.state !== 'running') {
          output.write(line`redrive ${id} is ${end.state}`);
          return;
        }
        output.write(line`interrupted; continue with: waybill dlq redrive --resume ${id}`);
        process.exitCode = 130;
      }),
    );
}

async function startRedrive(
  { deadLetters, redrives }: Operations,
  ids: readonly string[],
  options: FilterOptions & DecisionOptions & { readonly rate: number },
  output: Output,
): Promise<number | undefined> {
  const filter = selection(ids, options);
  for (const { group, topic } of await deadLetters.unserved(filter))
    output.write(
      line`no process of group ${group} handles topic ${topic} now: redriven messages wait until one does`,
    );
  if (options.yes !== true) {
    const count = await deadLetters.count({ ...filter, states: ['open'] });
    output.write(line`${count} open dead letters would be redriven; use --yes to redrive them`);
    return undefined;
  }
  const { id } = await redrives.start(filter, { ...operator(options), perSecond: options.rate });
  return id;
}

function addEditing(program: Command, dlq: Command, output: Output): void {
  decided(dlq.command('edit').argument('<id>', 'the dead letter', wholeNumber))
    .description('sends a changed message instead; without --yes, only shows what it would do')
    .option('--payload <text>', 'the new payload; @FILE reads it from a file')
    .option('--header <name=value>', 'sets a header; without a value, removes it', collect, [])
    .addOption(
      new Option('--to <whom>', 'the handler that failed, or the topic with all its groups')
        .choices(['handler', 'topic'])
        .default('handler'),
    )
    .action((id: number, options: DecisionOptions & EditOptions) =>
      withOperations(program, {}, async ({ deadLetters }) => {
        const edit = await editOf(options);
        if (options.yes !== true) {
          const { topic, messageId } = await deadLetters.show(id);
          output.write(
            line`message ${messageId ?? '?'} of ${topic} would be sent with changes; use --yes to send it`,
          );
          return;
        }
        output.write(line`sent as message ${await deadLetters.edit(id, edit, operator(options))}`);
      }),
    );
  decided(filtered(dlq.command('discard').argument('[id...]', 'dead letters')))
    .description('discards open dead letters; without --yes, only counts them')
    .action((ids: string[], options: FilterOptions & DecisionOptions) =>
      withOperations(program, options, async ({ deadLetters }) => {
        const filter = selection(ids, options);
        if (options.yes !== true) {
          const count = await deadLetters.count({ ...filter, states: ['open'] });
          output.write(line`${count} open dead letters would be discarded; use --yes to discard them`);
          return;
        }
        const { because: reason } = options;
        if (reason === undefined) throw refusal('give a reason: --because <reason>');
        output.write(line`${await deadLetters.discard(filter, { ...operator(options), reason })} discarded`);
      }),
    );
}

interface EditOptions {
  readonly payload?: string;
  readonly header: readonly string[];
  readonly to: 'handler' | 'topic';
}

async function editOf({ payload, header, to }: EditOptions) {
  const headers = Object.fromEntries(
    header.map((text) => {
      const at = text.indexOf('=');
      return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
    }),
  ) as Record<string, string | null>;
  if (payload === undefined) return { headers, to };
  const bytes = payload.startsWith('@') ? await readPayload(payload.slice(1)) : Buffer.from(payload, 'utf8');
  return { headers, to, payload: bytes };
}

async function readPayload(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError('The payload cannot be read', path, error);
  }
}

function filtered(command: Command): Command {
  return command
    .option('--all', 'all of them')
    .option('--group <name>', 'of this consumer group')
    .option('--topic <name>', 'of this topic')
    .option('--handler <name>', 'of this handler')
    .option('--key <key>', 'with this key')
    .option('--reason <reason>', 'with this reason, such as attempts-spent')
    .option('--error <class>', 'with a last error of this class')
    .option('--fingerprint <text>', 'of this kind of failure')
    .option('--message <id>', 'with this message id')
    .option('--state <state...>', 'open, redriving, redriven, replaced, discarded')
    .option('--from <time>', 'that last failed at this time or later', time)
    .option('--to <time>', 'that last failed before this time', time)
    .option(
      '--where <path=value>',
      'with this value in the JSON payload, such as order.customer=17',
      collect,
      [],
    );
}

function decided(command: Command): Command {
  return command
    .option('--by <name>', 'name of the operator (default: the user of this machine)')
    .option('--because <reason>', 'why')
    .option('--yes', 'applies the change; without it, nothing is changed');
}

function filterOf(options: FilterOptions): DeadLetterFilter {
  const { group, topic, handler, key, reason, fingerprint, from, to, where } = options;
  const given = {
    group,
    topic,
    handler,
    key,
    reason,
    fingerprint,
    from,
    to,
    errorClass: options.error,
    messageId: options.message,
    states: options.state,
    payload: where.length === 0 ? undefined : where.map(condition),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function condition(text: string): { path: string[]; value: string } {
  const at = text.indexOf('=');
  if (at < 1) throw refusal(`--where takes path=value, got ${text}`);
  return { path: text.slice(0, at).split('.'), value: text.slice(at + 1) };
}

/** The dead letters to decide on: ids, a filter, or explicitly all. */
function selection(ids: readonly string[], options: FilterOptions): DeadLetterFilter {
  const filter = { ...filterOf(options), ...(ids.length === 0 ? {} : { ids: ids.map(wholeNumber) }) };
  if (isEmptyFilter(filter) && options.all !== true) throw refusal('give ids, a filter or --all');
  return filter;
}

function operator({ by, because }: DecisionOptions): { by: string; reason?: string } {
  return { by: by ?? userInfo().username, ...(because === undefined ? {} : { reason: because }) };
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('The dead letters were not changed', [problem]);
}

/** @param names of a group and a topic that must exist */
async function withOperations(
  program: Command,
  names: Pick<FilterOptions, 'group' | 'topic'>,
  work: (operations: Operations) => Promise<void>,
): Promise<void> {
  await withBus(program, async ({ database, bus, sealer }) => {
    await assertKnownNames(bus, names);
    const log = new PostgresLogEngine(bus, { service: database });
    log.signals.start();
    try {
      await work({
        deadLetters: new DeadLetters(database, log, sealer),
        redrives: new Redrives(database, log.signals),
      });
    } finally {
      await log.signals.stop();
    }
  });
}
