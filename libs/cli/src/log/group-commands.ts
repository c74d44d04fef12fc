import type { PgDatabase } from '@waybill/kernel';
import { describeMembers, listGroups } from '@waybill/log/postgres/internal';
import type { Command } from 'commander';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withLog } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { assertKnown } from './assert-known.js';
import { addGroupAdopt } from './group-adopt.js';
import { type Lag, LAG_COLUMNS, readLags, totalLag } from './lag.js';

/** A consumer group in a list. */
interface GroupLine {
  readonly group: string;
  readonly members: number;
  readonly topics: readonly string[];
  readonly lag: number;
}

interface MemberLine {
  readonly memberId: string;
  readonly joinedAt: Date;
  readonly topics: readonly string[];
  readonly partitions: number;
}

const COLUMNS: readonly Column<GroupLine>[] = [
  { head: 'GROUP', of: ({ group }) => group },
  { head: 'MEMBERS', of: ({ members }) => members, align: 'right' },
  { head: 'LAG', of: ({ lag }) => lag, align: 'right' },
  { head: 'TOPICS', of: ({ topics }) => topics.join(', ') },
];

const MEMBER_COLUMNS: readonly Column<MemberLine>[] = [
  { head: 'MEMBER', of: ({ memberId }) => memberId },
  { head: 'JOINED', of: ({ joinedAt }) => joinedAt },
  { head: 'PARTITIONS', of: ({ partitions }) => partitions, align: 'right' },
  { head: 'TOPICS', of: ({ topics }) => topics.join(', ') },
];

/** `waybill group list | describe | adopt`; `groups` is an alias. */
export function addGroupCommands(program: Command, output: Output): void {
  const group = program
    .command('group')
    .alias('groups')
    .description('lists, describes and adopts consumer groups');
  listing(group.command('list'))
    .description('lists the consumer groups, with their members and their lag')
    .action((options: ListOptions) =>
      withLog(program, async (_log, bus) => {
        const lags = await readLags(bus);
        const groups = await bus.session.run(listGroups);
        const lines = groups.map(({ groupName, members, topics }) =>
          lineOf(groupName, members, topics, lags),
        );
        writeList(output, options, lines, COLUMNS);
      }),
    );
  listing(group.command('describe').argument('<name>'))
    .description('shows one consumer group: its members, and its lag in each partition')
    .action((name: string, options: ListOptions) =>
      withLog(program, (_log, bus) => describeGroup(bus, name, options, output)),
    );
  addGroupAdopt(group, program, output);
}

async function describeGroup(
  bus: PgDatabase,
  name: string,
  options: ListOptions,
  output: Output,
): Promise<void> {
  const known = await bus.session.run(listGroups);
  assertKnown(
    'group',
    name,
    known.map(({ groupName }) => groupName),
  );
  const members = await bus.session.run(describeMembers, name);
  const lags = await readLags(bus, [name]);
  const topics = known.find(({ groupName }) => groupName === name)?.topics ?? [];
  const line = lineOf(name, members.length, topics, lags);
  if (options.json === true) {
    output.write(`${JSON.stringify({ ...line, members, partitions: lags })}\n`);
    return;
  }
  writeList(output, {}, [line], COLUMNS);
  output.write('\n');
  if (members.length === 0) output.write('no process consumes for it\n');
  writeList(output, {}, members, MEMBER_COLUMNS);
  output.write('\n');
  writeList(output, {}, lags, LAG_COLUMNS);
}

function lineOf(group: string, members: number, topics: readonly string[], lags: readonly Lag[]): GroupLine {
  // Its lag includes topics that it has read before and does not subscribe to at the moment.
  const own = lags.filter((lag) => lag.group === group);
  const read = own.map(({ topic }) => topic);
  return { group, members, topics: [...new Set([...topics, ...read])].toSorted(), lag: totalLag(own) };
}
