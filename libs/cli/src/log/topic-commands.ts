import type { PgDatabase } from '@waybill/kernel';
import type { LogEngine, OnDeadLetter, OnExpired, Topic, TopicOptions } from '@waybill/log';
import type { Command } from 'commander';
import { duration, durationText, wholeNumber } from '../arguments/arguments.js';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withLog } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { assertKnown } from './assert-known.js';
import { LAG_COLUMNS, readLags } from './lag.js';

interface SettingOptions {
  readonly partitions?: number;
  readonly retention?: number;
  readonly onDeadLetter?: OnDeadLetter;
  readonly onExpired?: OnExpired;
  readonly backlogMaxMessages?: number;
  readonly backlogMaxBytes?: number;
}

/** A topic in a list. */
type TopicLine = Omit<Topic, 'partitionIds'> & { readonly partitions: number };

interface PartitionLine {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
}

const COLUMNS: readonly Column<TopicLine>[] = [
  { head: 'TOPIC', of: ({ name }) => name },
  { head: 'PARTITIONS', of: ({ partitions }) => partitions, align: 'right' },
  { head: 'RETENTION', of: ({ retentionMs }) => durationText(retentionMs), align: 'right' },
  { head: 'ON DEAD LETTER', of: ({ onDeadLetter }) => onDeadLetter },
  { head: 'ON EXPIRED', of: ({ onExpired }) => onExpired },
];

const PARTITION_COLUMNS: readonly Column<PartitionLine>[] = [
  { head: 'PARTITION', of: ({ partition }) => partition, align: 'right' },
  { head: 'START', of: ({ start }) => start, align: 'right' },
  { head: 'END', of: ({ end }) => end, align: 'right' },
];

/** `waybill topic list | describe | create | set`; `topics` is an alias. */
export function addTopicCommands(program: Command, output: Output): void {
  const topic = program
    .command('topic')
    .alias('topics')
    .description('lists, describes, creates and changes topics');
  listing(topic.command('list'))
    .description('lists the topics')
    .action((options: ListOptions) =>
      withLog(program, async ({ topics }) =>
        writeList(output, options, (await topics.list()).map(lineOf), COLUMNS),
      ),
    );
  listing(topic.command('describe').argument('<name>'))
    .description('shows one topic: its settings, its partitions, and the groups that read it')
    .action((name: string, options: ListOptions) =>
      withLog(program, (log, bus) => describeTopic(log, bus, name, options, output)),
    );
  withSettings(topic.command('create').argument('<name>'))
    .option('--partitions <n>', 'number of partitions (default 4)', wholeNumber)
    .description('creates a topic; an existing one is not changed')
    .action((name: string, options: SettingOptions) =>
      withLog(program, async ({ topics }) =>
        writeList(output, {}, [lineOf(await topics.create(name, settingsOf(options)))], COLUMNS),
      ),
    );
  withSettings(topic.command('set').argument('<name>'))
    .description('changes settings of a topic; consumers apply them when they open a partition')
    .action((name: string, options: SettingOptions) =>
      withLog(program, async ({ topics }) => {
        assertKnown(
          'topic',
          name,
          (await topics.list()).map((known) => known.name),
        );
        writeList(output, {}, [lineOf(await topics.configure(name, settingsOf(options)))], COLUMNS);
      }),
    );
}

async function describeTopic(
  log: LogEngine,
  bus: PgDatabase,
  name: string,
  options: ListOptions,
  output: Output,
): Promise<void> {
  const { topics } = log;
  const all = await topics.list();
  assertKnown(
    'topic',
    name,
    all.map((known) => known.name),
  );
  const topic = await topics.get(name);
  const offsets = await log.offsets(topic.partitionIds);
  const partitions = topic.partitionIds.map((partitionId, partition): PartitionLine => {
    const { startOffset = 0, endOffset = 0 } = offsets.get(partitionId) ?? {};
    return { partition, start: startOffset, end: endOffset };
  });
  const groups = (await readLags(bus)).filter((lag) => lag.topic === name);
  if (options.json === true) {
    output.write(`${JSON.stringify({ ...lineOf(topic), partitions, groups })}\n`);
    return;
  }
  writeList(output, {}, [lineOf(topic)], COLUMNS);
  output.write('\n');
  writeList(output, {}, partitions, PARTITION_COLUMNS);
  output.write('\n');
  if (groups.length === 0) output.write('no group reads it\n');
  writeList(output, {}, groups, LAG_COLUMNS);
}

function lineOf({ partitionIds, ...topic }: Topic): TopicLine {
  return { ...topic, partitions: partitionIds.length };
}

function settingsOf({ retention, ...others }: SettingOptions): TopicOptions {
  return { ...others, ...(retention === undefined ? {} : { retentionMs: retention }) };
}

function withSettings(command: Command): Command {
  return command
    .option('--retention <duration>', 'how long records are kept, such as 12h or 7d (default 7d)', duration())
    .option(
      '--on-dead-letter <what>',
      'what a dead letter holds up: unblock nothing (default), park its key, block its partition',
    )
    .option('--on-expired <what>', 'what happens to an expired message: dead-letter (default), drop')
    .option(
      '--backlog-max-messages <n>',
      'refuses new messages while this many wait in the outbox; 0 for no limit (default)',
      wholeNumber,
    )
    .option('--backlog-max-bytes <n>', 'the same in bytes', wholeNumber);
}
