import { userInfo } from 'node:os';
import { ConfigurationError } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Erasure, type ErasureReport, type ErasureTarget } from '@waybill/erasure';
import type { Command } from 'commander';
import { id } from '../arguments/arguments.js';
import { line } from '../output/line.js';
import { assertKnownNames } from '../log/assert-known.js';
import { withBus } from '../arguments/target.js';
import type { Output } from '../output/output.js';

interface EraseOptions {
  readonly subject?: string;
  readonly stopSagas?: boolean;
  readonly key?: string;
  readonly message?: string;
  readonly topic?: string;
  readonly by?: string;
  readonly because?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `waybill erase --subject … | --key … | --message …`. */
export function addEraseCommand(program: Command, output: Output): void {
  program
    .command('erase')
    .description('erases stored data and reports what remains; without --yes, only shows what it would do')
    .option(
      '--subject <id>',
      'destroys the keys of this subject: data encrypted for it becomes unreadable everywhere',
    )
    .option('--stop-sagas', 'with --subject: even if it has running sagas, which then become stuck')
    .option(
      '--key <key>',
      'removes or empties what is stored of messages with this key (with --cipher: also encrypted ones)',
    )
    .option('--message <id>', 'removes or empties what is stored of this message', id)
    .option('--topic <name>', 'with --key or --message: only of this topic')
    .option('--by <name>', 'name of the operator (default: the user of this machine)')
    .option('--because <reason>', 'why')
    .option('--json', 'prints the report as JSON')
    .option('--yes', 'applies the change; without it, nothing is changed')
    .action((options: EraseOptions) =>
      withBus(program, async ({ database, bus, sealer }) => {
        const target = targetOf(options);
        await assertKnownNames(bus, options.topic === undefined ? {} : { topic: options.topic });
        const { by = userInfo().username, because: reason, yes = false } = options;
        if (yes && reason === undefined) throw refusal('give a reason: --because <reason>');
        const log = new PostgresLogEngine(bus, { service: database });
        log.signals.start();
        try {
          const erasure = new Erasure(database, log, sealer);
          const report = await erasure.erase(target, { by, reason: reason ?? '' }, { dryRun: !yes });
          if (options.json === true) output.write(`${JSON.stringify({ ...report, isDone: yes })}\n`);
          else writeReport(report, yes, output);
        } finally {
          await log.signals.stop();
        }
      }),
    );
}

function targetOf({ subject, stopSagas = false, key, message, topic }: EraseOptions): ErasureTarget {
  if ([subject, key, message].filter((given) => given !== undefined).length !== 1)
    throw refusal('give one of --subject, --key and --message');
  if (subject !== undefined) {
    if (topic !== undefined)
      throw refusal('--topic works only with --key or --message: a subject is erased everywhere');
    return { subject, stopSagas };
  }
  const within = topic === undefined ? {} : { topic };
  return message === undefined ? { key: key ?? '', ...within } : { messageId: message, ...within };
}

function writeReport({ what, done, remains }: ErasureReport, isDone: boolean, output: Output): void {
  output.write(line`${what}${isDone ? ' was erased' : ' would be erased; use --yes to erase it'}`);
  if (done.length === 0) output.write(line`erased: nothing was found`);
  for (const { where, rows } of done) output.write(line`erased: ${rows} ${where}`);
  for (const { where, why, until } of remains)
    output.write(
      line`remains: ${where}: ${why}${until === null ? '' : `, until ${until.toISOString()} at the latest`}`,
    );
}

function refusal(problem: string): ConfigurationError {
  return new ConfigurationError('Nothing was erased', [problem]);
}
