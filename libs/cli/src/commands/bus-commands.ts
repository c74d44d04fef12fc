import { raiseLogEpoch } from '@waybill/log/postgres/internal';
import type { Command } from 'commander';
import { withLog } from '../arguments/target.js';
import { line } from '../output/line.js';
import type { Output } from '../output/output.js';

/** `waybill bus heal`: lets services append again what a log has lost. */
export function addBusCommands(program: Command, output: Output): void {
  program
    .command('bus')
    .description('maintains a bus')
    .command('heal')
    .description(
      'lets the services append again what the log lacks, after the bus was restored or has lost a tail; without --yes, only shows what it would do',
    )
    .option('--yes', 'applies the change; without it, nothing is changed')
    .action((options: { yes?: boolean }) =>
      withLog(program, async (log, bus) => {
        const { busId, logEpoch } = await log.identity();
        if (options.yes !== true) {
          output.write(line`bus ${busId} is in epoch ${logEpoch} of its log`);
          output.write(
            'every service would append again what the log lacks, at new offsets; read "The bus went back" in docs/OPERATIONS.md, then use --yes\n',
          );
          return;
        }
        const [row] = await bus.session.run(raiseLogEpoch);
        output.write(
          line`bus ${busId} is in epoch ${row?.logEpoch ?? 0} of its log; relays append what it lacks`,
        );
      }),
    );
}
