import { ConfigurationError, DEFAULT_SCHEMA } from '@waybill/kernel';
import { withoutSecrets } from '@waybill/kernel/internal';
import { migrate, migrationSql, migrationStatus } from '@waybill/schema';
import { Command } from 'commander';
import { duration } from './arguments/arguments.js';
import { addAsyncApiCommand } from './commands/async-api-command.js';
import { addBusCommands } from './commands/bus-commands.js';
import { addDeadLetterCommands } from './commands/dead-letter-commands.js';
import { addDoctorCommand } from './doctor/doctor-command.js';
import { addGrantsCommand } from './roles/grants-command.js';
import { addAclCommand } from './roles/acl-command.js';
import { addEffectCommands } from './commands/effect-commands.js';
import { addEraseCommand } from './commands/erase-command.js';
import { addHalfCommands } from './commands/half-commands.js';
import { addInitCommand } from './init/init-command.js';
import { addOutboxCommands } from './commands/outbox-commands.js';
import { addRelayCommands } from './commands/relay-commands.js';
import { addSagaCommands } from './commands/saga-commands.js';
import { type BusOption, partOf } from './arguments/bus-option.js';
import { globals, target } from './arguments/target.js';
import type { Output } from './output/output.js';
import { addStatusCommand } from './status/status-command.js';
import { addGroupCommands } from './log/group-commands.js';
import { addLagCommand } from './log/lag-command.js';
import { addTopicCommands } from './log/topic-commands.js';
import { type ListOptions, writeList } from './output/table.js';
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
    .option(
      '--bus-url <url>',
      'the database of the bus, postgresql://… (default: WAYBILL_BUS_URL, otherwise the database itself)',
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
  addStatusCommand(program, output);
  addTopicCommands(program, output);
  addGroupCommands(program, output);
  addLagCommand(program, output);
  addRelayCommands(program, output);
  addBusCommands(program, output);
  addOutboxCommands(program, output);
  addDeadLetterCommands(program, output);
  addEraseCommand(program, output);
  addHalfCommands(program, output);
  addSagaCommands(program, output);
  addEffectCommands(program, output);
  addAsyncApiCommand(program, output);
  return program;
}

interface MigrateCommandOptions extends BusOption, ListOptions {
  readonly lockTimeout?: number;
  readonly status?: true;
}

function addMigrationCommands(program: Command, output: Output): void {
  const migrations = (name: string): Command =>
    program.command(name).option('--bus', 'the part of the bus: the log; otherwise that of a service');
  migrations('migrate')
    .description('applies the missing migrations; with --status, lists them')
    .option(
      '--lock-timeout <duration>',
      'how long to wait for another process that migrates, such as 5m; a number without a unit is in seconds (default 1m)',
      duration('s'),
    )
    .option('--status', 'only lists the migrations; exits with 3 if some are pending')
    .option('--json', 'with --status: prints the list as JSON')
    .action(({ status, json, ...options }: MigrateCommandOptions) => {
      if (status === true) return listMigrations(program, output, { ...options, ...(json && { json }) });
      if (json === true)
        throw new ConfigurationError('--json is not an option of migrate', ['use it with --status']);
      return applyMigrations(program, output, options);
    });
  migrations('sql')
    .description('prints the schema as SQL, for other migration tools; needs no database')
    .action((which: BusOption) => output.write(migrationSql(globals(program).schema, partOf(which))));
}

async function applyMigrations(
  program: Command,
  output: Output,
  { lockTimeout, ...which }: MigrateCommandOptions,
): Promise<void> {
  const limits = lockTimeout === undefined ? {} : { lockTimeoutMs: lockTimeout };
  const applied = await migrate({ ...target(program), part: partOf(which), ...limits });
  for (const name of applied) output.write(line`applied ${name}`);
  if (applied.length === 0) output.write('nothing to do, the schema is up to date\n');
}

async function listMigrations(
  program: Command,
  output: Output,
  options: MigrateCommandOptions,
): Promise<void> {
  const states = await migrationStatus({ ...target(program), part: partOf(options) });
  writeList(output, options, states, [
    { head: 'APPLIED', of: ({ appliedAt }) => appliedAt ?? 'pending' },
    { head: 'MIGRATION', of: ({ name }) => name },
  ]);
  if (states.some(({ appliedAt }) => appliedAt === null)) process.exitCode = 3;
}
