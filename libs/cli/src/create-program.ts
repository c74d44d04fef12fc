import { DEFAULT_SCHEMA } from '@waybill/kernel';
import { withoutSecrets } from '@waybill/kernel/internal';
import { adoptCluster } from '@waybill/outbox';
import { migrate, migrationSql, migrationStatus } from '@waybill/schema';
import { Command } from 'commander';
import { duration } from './arguments/arguments.js';
import { addAsyncApiCommand } from './commands/async-api-command.js';
import { addDeadLetterCommands } from './commands/dead-letter-commands.js';
import { addDoctorCommand } from './doctor/doctor-command.js';
import { addGrantsCommand } from './roles/grants-command.js';
import { addAclCommand } from './roles/acl-command.js';
import { addEffectCommands } from './commands/effect-commands.js';
import { addEraseCommand } from './commands/erase-command.js';
import { addHalfCommands } from './commands/half-commands.js';
import { addInitCommand } from './init/init-command.js';
import { addOutboxCommands } from './commands/outbox-commands.js';
import { addSagaCommands } from './commands/saga-commands.js';
import { globals, target, withDatabase } from './arguments/target.js';
import type { Output } from './output/output.js';
import { addGroupCommands } from './log/group-commands.js';
import { addLagCommand } from './log/lag-command.js';
import { addTopicCommands } from './log/topic-commands.js';
import { type ListOptions, listing, writeList } from './output/table.js';
import { ownVersion } from './own-version.js';
import { line } from './output/line.js';

/** The `waybill` command. */
export function createProgram(output: Output): Command {
  const program = new Command('waybill')
    .description('Sets up and maintains the tables of Waybill. Uses the database of DATABASE_URL.')
    .option(
      '--database-url <url>',
      'the database, postgresql://… (default: DATABASE_URL, otherwise PGHOST and the other PG variables)',
    )
    .option(
      '--database-url-file <path>',
      'a file with the URL; the password is then not visible in process lists',
    )
    .option('--schema <name>', "Waybill's schema", DEFAULT_SCHEMA)
    .option(
      '--cipher <module>',
      'a JavaScript module whose default export is the cipher, to read encrypted data',
    )
    .version(ownVersion(), '-V, --version', 'the version of waybill')
    .configureOutput({
      writeOut: (text) => output.write(text),
      // They repeat what was typed.
      writeErr: (text) => process.stderr.write(withoutSecrets(text)),
    })
    .exitOverride()
    .showHelpAfterError('(see waybill --help)');
  addInitCommand(program, output);
  addMigrationCommands(program, output);
  addGrantsCommand(program, output);
  addAclCommand(program, output);
  addDoctorCommand(program, output);
  addTopicCommands(program, output);
  addGroupCommands(program, output);
  addLagCommand(program, output);
  addRelayCommands(program, output);
  addOutboxCommands(program, output);
  addDeadLetterCommands(program, output);
  addEraseCommand(program, output);
  addHalfCommands(program, output);
  addSagaCommands(program, output);
  addEffectCommands(program, output);
  addAsyncApiCommand(program, output);
  return program;
}

function addMigrationCommands(program: Command, output: Output): void {
  const migrations = (name: string): Command =>
    program
      .command(name)
      .option('--participant', 'only the tables of a service whose log is in another database: no outbox');
  migrations('migrate')
    .description('applies the missing migrations')
    .option(
      '--lock-timeout <duration>',
      'how long to wait for another process that migrates, such as 5m; a number without a unit is in seconds (default 1m)',
      duration('s'),
    )
    .action(async ({ lockTimeout, ...options }: Participant & { readonly lockTimeout?: number }) => {
      const limits = lockTimeout === undefined ? {} : { lockTimeoutMs: lockTimeout };
      const applied = await migrate({ ...target(program), ...options, ...limits });
      for (const name of applied) output.write(line`applied ${name}`);
      if (applied.length === 0) output.write('nothing to do, the schema is up to date\n');
    });
  listing(migrations('status'))
    .description('lists the migrations; exits with 3 if some are pending')
    .action(async ({ json, ...options }: Participant & ListOptions) => {
      const states = await migrationStatus({ ...target(program), ...options });
      writeList(output, json === undefined ? {} : { json }, states, [
        { head: 'APPLIED', of: ({ appliedAt }) => appliedAt ?? 'pending' },
        { head: 'MIGRATION', of: ({ name }) => name },
      ]);
      if (states.some(({ appliedAt }) => appliedAt === null)) process.exitCode = 3;
    });
  migrations('sql')
    .description('prints the schema as SQL, for other migration tools; needs no database')
    .action(({ participant = false }: Participant) =>
      output.write(migrationSql(globals(program).schema, participant ? 'participant' : 'whole')),
    );
}

/** Options of the migration commands. */
interface Participant {
  readonly participant?: boolean;
}

function addRelayCommands(program: Command, output: Output): void {
  program
    .command('relay')
    .description('maintains the relay')
    .command('adopt')
    .description(
      'lets the relay start over after the database was loaded into another cluster; without --yes, only shows what it would do',
    )
    .option('--yes', 'applies the change; without it, nothing is changed')
    .action((options: { yes?: boolean }) =>
      withDatabase(program, async (database) => {
        if (options.yes !== true) {
          output.write(
            'the relay would start over and keep the messages that it has not moved; stop all publishers first, then use --yes\n',
          );
          return;
        }
        const moved = await adoptCluster(database.session);
        output.write(line`the relay starts over; ${moved} messages wait to be moved`);
      }),
    );
}
