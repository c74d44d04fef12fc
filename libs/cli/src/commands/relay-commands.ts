import { PostgresLogEngine } from '@waybill/log/postgres';
import { findDisagreement, type LostPasses, reconcile } from '@waybill/outbox';
import type { Command } from 'commander';
import { withBus } from '../arguments/target.js';
import { line } from '../output/line.js';
import type { Output } from '../output/output.js';

/** Ids that are printed. */
const SHOWN = 100;

/** What no database has any more, and when it was published: only the service's business rows tell what it was. */
function lostLine({ from, to, rows, since, until }: LostPasses): string {
  const when =
    since === undefined || until === undefined
      ? ''
      : `, handed over from ${since.toISOString()} to ${until.toISOString()}`;
  return line`up to ${rows} messages of passes ${from} to ${to}${when}, are lost: the log lacks them, and the outbox has been emptied since; publish again what the business rows of that time call for`;
}

/** `waybill relay reconcile`: starts the relay over after a database went back, or was loaded into another cluster. */
export function addRelayCommands(program: Command, output: Output): void {
  program
    .command('relay')
    .description('maintains the relay')
    .command('reconcile')
    .description(
      "lets the relay start over after the service's database was restored, has lost a tail, or was loaded into another cluster; without --yes, only shows what it would do",
    )
    .option('--yes', 'applies the change; without it, nothing is changed')
    .action((options: { yes?: boolean }) =>
      withBus(program, async ({ database, bus }) => {
        const log = new PostgresLogEngine(bus, { service: database });
        const found = await findDisagreement(database, log);
        output.write(
          line`service ${found.serviceId}: the log holds passes up to ${found.busN}; both know pass ${found.commonN}`,
        );
        if (found.onlyInLog.length > 0)
          output.write(
            line`${found.onlyInLog.length} messages are in the log whose transactions this database does not know: consumers have them`,
          );
        for (const id of found.onlyInLog.slice(0, SHOWN)) output.write(line`  ${id}`);
        if (found.onlyInLog.length > SHOWN) output.write(line`  and ${found.onlyInLog.length - SHOWN} more`);
        if (found.lost !== undefined) output.write(lostLine(found.lost));
        if (options.yes !== true) {
          output.write(
            'the relay would start over and keep the messages that are not in the log; stop all publishers first, then use --yes\n',
          );
          return;
        }
        const kept = await reconcile(database, found);
        output.write(line`the relay starts over; ${kept} messages wait to be moved`);
      }),
    );
}
