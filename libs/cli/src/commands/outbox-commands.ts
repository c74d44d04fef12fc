import { userInfo } from 'node:os';
import { ConfigurationError } from '@waybill/kernel';
import {
  outboxBacklogs,
  OutboxQuarantine,
  type QuarantinedContent,
  type QuarantinedMessage,
  type QuarantineBacklog,
  type QuarantineFilter,
  type TopicBacklog,
} from '@waybill/outbox/internal';
import type { OperatorAction } from '@waybill/dead-letter';
import type { Command } from 'commander';
import { wholeNumber } from '../arguments/arguments.js';
import { line } from '../output/line.js';
import { payloadText } from '../output/payload-text.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';

interface FilterOptions {
  readonly all?: boolean;
  readonly topic?: string;
  readonly reason?: string;
  readonly role?: string;
}

interface DecisionOptions {
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
}

const BACKLOG_COLUMNS: readonly Column<TopicBacklog>[] = [
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'PUBLISHED BY', of: ({ role }) => role },
  { head: 'WAITING', of: ({ waiting }) => waiting, align: 'right' },
  { head: 'BYTES', of: ({ bytes }) => bytes, align: 'right' },
  { head: 'OLDEST (S)', of: ({ oldestAgeMs }) => Math.round(oldestAgeMs / 1_000), align: 'right' },
  { head: 'REFUSED', of: ({ full }) => full },
];

const MESSAGE_COLUMNS: readonly Column<QuarantinedMessage>[] = [
  { head: 'ID', of: ({ id }) => id, align: 'right' },
  { head: 'SINCE', of: ({ quarantinedAt }) => quarantinedAt },
  { head: 'ORIGIN', of: ({ origin }) => origin },
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'PUBLISHED BY', of: ({ role }) => role },
  { head: 'KEY', of: ({ key }) => key },
  { head: 'BYTES', of: ({ bytes }) => bytes, align: 'right' },
  { head: 'REASON', of: ({ code, reason }) => `${code}: ${reason}` },
];

const KIND_COLUMNS: readonly Column<QuarantineBacklog>[] = [
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'REASON', of: ({ code }) => code },
  { head: 'MESSAGES', of: ({ messages }) => messages, align: 'right' },
  { head: 'OLDEST (S)', of: ({ oldestAgeMs }) => Math.round(oldestAgeMs / 1_000), align: 'right' },
];

/** `waybill outbox backlog`, and `waybill outbox quarantine list | show | redrive | discard`. */
export function addOutboxCommands(program: Command, output: Output): void {
  const outbox = program
    .command('outbox')
    .description('shows waiting and quarantined messages of the outbox');
  listing(outbox.command('backlog'))
    .description('counts messages that wait for the relay, by topic and by the login that published them')
    .option('--limit <n>', 'at most this many', wholeNumber, 50)
    .action((options: ListOptions & { limit: number }) =>
      withDatabase(program, async ({ session }) =>
        writeList(output, options, await outboxBacklogs(session, options.limit), BACKLOG_COLUMNS),
      ),
    );
  const quarantine = outbox
    .command('quarantine')
    .description('shows messages that no relay could move, or no timer deliver, and decides on them');
  addLooking(program, quarantine, output);
  addDeciding(program, quarantine, output);
}

function addLooking(program: Command, quarantine: Command, output: Output): void {
  listing(filtered(quarantine.command('list')))
    .description('lists quarantined messages, without payloads')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .option('--after <id>', 'starts after this one', wholeNumber, 0)
    .option('--groups', 'counts messages by topic and reason instead')
    .action((options: FilterOptions & ListOptions & { limit: number; after: number; groups?: boolean }) =>
      withDatabase(program, async (database) => {
        const { limit, after } = options;
        const operations = new OutboxQuarantine(database);
        if (options.groups === true)
          writeList(output, options, await operations.backlogs(limit), KIND_COLUMNS);
        else
          writeList(
            output,
            options,
            await operations.list(filterOf(options), { limit, after }),
            MESSAGE_COLUMNS,
          );
      }),
    );
  quarantine
    .command('show')
    .argument('<id>', 'the message', wholeNumber)
    .option('--payload', 'also shows the payload')
    .description('shows one quarantined message')
    .action((id: number, options: { payload?: boolean }) =>
      withDatabase(program, async (database, sealer) => {
        const operations = new OutboxQuarantine(database, sealer);
        writeDetail(await operations.show(id), await operations.actions(id), options, output);
      }),
    );
}

function addDeciding(program: Command, quarantine: Command, output: Output): void {
  decided(filtered(quarantine.command('redrive').argument('[id...]', 'messages')))
    .description('publishes messages again, once the cause has been fixed; without --yes, only counts them')
    .action((ids: string[], options: FilterOptions & DecisionOptions) =>
      withDatabase(program, async (database) => {
        const operations = new OutboxQuarantine(database);
        const filter = selection(ids, options);
        if (options.yes === true) {
          output.write(line`${await operations.redrive(filter, operator(options))} messages published again`);
          return;
        }
        output.write(
          line`${await operations.count(filter)} messages would be published again; use --yes to publish them`,
        );
      }),
    );
  decided(filtered(quarantine.command('discard').argument('[id...]', 'messages')))
    .description('removes messages for good; without --yes, only counts them')
    .action((ids: string[], options: FilterOptions & DecisionOptions) =>
      withDatabase(program, async (database) => {
        const operations = new OutboxQuarantine(database);
        const filter = selection(ids, options);
        if (options.yes !== true) {
          output.write(
            line`${await operations.count(filter)} messages would be discarded; use --yes to discard them`,
          );
          return;
        }
        const { because: reason } = options;
        if (reason === undefined) throw refusal('give a reason: --because <reason>');
        output.write(line`${await operations.discard(filter, { ...operator(options), reason })} discarded`);
      }),
    );
}

function writeDetail(
  message: QuarantinedContent,
  actions: readonly OperatorAction[],
  options: { readonly payload?: boolean },
  output: Output,
): void {
  const { id, origin, quarantinedAt, topic, partition, key, messageId, role, publishedAt, bytes } = message;
  const location = partition === null ? topic : `${topic}[${partition}]`;
  output.write(line`${id}  ${origin}  ${quarantinedAt.toISOString()}  ${location}  key ${key ?? '-'}`);
  output.write(
    line`message ${messageId}  published ${publishedAt.toISOString()} by ${role === '' ? '-' : role}  ${bytes} bytes`,
  );
  if (message.deliverAt !== null)
    output.write(line`for ${message.deliverAt.toISOString()}  token ${message.timerToken ?? '-'}`);
  output.write(line`${message.code}: ${message.reason}`);
  for (const [name, value] of Object.entries(message.headers))
    output.write(line`header ${name}: ${String(value)}`);
  for (const { actedAt, actor, by, action, reason } of actions)
    output.write(
      line`${actedAt.toISOString()}  ${by}: ${action}${reason === null ? '' : `, ${reason}`} (login ${actor})`,
    );
  if (options.payload === true) output.write(line`${payloadText(message)}`);
}

function filtered(command: Command): Command {
  return command
    .option('--all', 'all of them')
    .option('--topic <name>', 'of this topic')
    .option('--reason <code>', 'with this reason, such as TOPIC_UNKNOWN')
    .option('--role <login>', 'published by this login');
}

function decided(command: Command): Command {
  return command
    .option('--by <name>', 'name of the operator (default: the user of this machine)')
    .option('--because <reason>', 'why')
    .option('--yes', 'applies the change; without it, nothing is changed');
}

function filterOf({ topic, reason, role }: FilterOptions): QuarantineFilter {
  return {
    ...(topic === undefined ? {} : { topic }),
    ...(reason === undefined ? {} : { code: reason }),
    ...(role === undefined ? {} : { role }),
  };
}

/** The messages to decide on: ids, a filter, or explicitly all. */
function selection(ids: readonly string[], options: FilterOptions): QuarantineFilter {
  const filter = { ...filterOf(options), ...(ids.length === 0 ? {} : { ids: ids.map(wholeNumber) }) };
  if (Object.keys(filter).length === 0 && options.all !== true) throw refusal('give ids, a filter or --all');
  return filter;
}

function operator({ by, because }: DecisionOptions): { by: string; reason?: string } {
  return { by: by ?? userInfo().username, ...(because === undefined ? {} : { reason: because }) };
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('The quarantined messages were not changed', [problem]);
}
