import { adoptTaken, listGroups } from '@waybill/log/postgres/internal';
import type { Command } from 'commander';
import { type Databases, withBus } from '../arguments/target.js';
import { line } from '../output/line.js';
import type { Output } from '../output/output.js';
import { type Column, writeList } from '../output/table.js';
import { assertKnown } from './assert-known.js';
import { type PartitionBehind, partitionsBehind } from './partitions-behind.js';

const COLUMNS: readonly Column<PartitionBehind>[] = [
  { head: 'TOPIC', of: ({ topic }) => topic },
  { head: 'PARTITION', of: ({ number }) => number, align: 'right' },
  { head: 'TAKEN IN EPOCH', of: ({ takenEpoch }) => takenEpoch, align: 'right' },
  { head: 'EPOCH HERE', of: ({ ownerEpoch }) => ownerEpoch, align: 'right' },
];

/** `waybill group adopt`. */
export function addGroupAdopt(group: Command, program: Command, output: Output): void {
  group
    .command('adopt')
    .argument('<name>')
    .description(
      "lets a group go on with the progress in the service's database after that was restored; without --yes, only shows what it would do",
    )
    .option('--yes', 'applies the change; without it, nothing is changed')
    .action((name: string, options: { yes?: boolean }) =>
      withBus(program, (databases) => adopt(databases, name, options.yes === true, output)),
    );
}

async function adopt(
  { database, bus }: Databases,
  name: string,
  isApplied: boolean,
  output: Output,
): Promise<void> {
  const groups = await bus.session.run(listGroups);
  assertKnown(
    'group',
    name,
    groups.map(({ groupName }) => groupName),
  );
  const behind = await partitionsBehind(database, bus, name);
  if (behind.length === 0) {
    output.write(line`the progress of group ${name} is in this database; there is nothing to adopt`);
    return;
  }
  writeList(output, {}, behind, COLUMNS);
  if (!isApplied) {
    output.write(
      line`group ${name} would go on with the progress in this database: what was handled since comes again, unless its effects are here; use --yes`,
    );
    return;
  }
  await bus.session.run(
    adoptTaken,
    name,
    behind.map(({ partitionId }) => partitionId),
    behind.map(({ ownerEpoch }) => ownerEpoch),
  );
  output.write(line`group ${name} goes on with the progress in this database`);
}
