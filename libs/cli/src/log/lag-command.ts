import type { Command } from 'commander';
import { type ListOptions, listing, writeList } from '../output/table.js';
import { withLog } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { assertKnownNames } from './assert-known.js';
import { LAG_COLUMNS, readLags, totalLag } from './lag.js';

/** Adds `lag`: the lag of consumer groups. */
export function addLagCommand(program: Command, output: Output): void {
  listing(program.command('lag').argument('[group...]', 'these consumer groups (default: all)'))
    .option('--topic <name>', 'only this topic')
    .option('--lagging', 'only partitions with a lag')
    .description('shows the lag of consumer groups, by partition and in total')
    .action((groups: string[], options: ListOptions & { topic?: string; lagging?: true }) =>
      withLog(program, async (_log, bus) => {
        for (const group of groups) await assertKnownNames(bus, { group });
        await assertKnownNames(bus, { topic: options.topic });
        const lags = (await readLags(bus, groups.length === 0 ? undefined : groups)).filter(
          ({ topic, lag }) =>
            (options.topic === undefined || topic === options.topic) && (options.lagging !== true || lag > 0),
        );
        writeList(output, options, lags, LAG_COLUMNS, ['TOTAL', '', '', '', '', String(totalLag(lags))]);
      }),
    );
}
