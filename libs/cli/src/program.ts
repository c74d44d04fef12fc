import { DEFAULT_SCHEMA } from '@waybill/kernel';
import { groupLag } from '@waybill/log';
import { adoptCluster } from '@waybill/outbox';
import { migrate, migrationSql, migrationStatus } from '@waybill/schema';
import { Command } from 'commander';
import { addAsyncApiCommand } from './async-api-command.js';
import { addDeadLetterCommands } from './dead-letter-commands.js';
import { addDoctorCommand } from './doctor-command.js';
import { addHalfCommands } from './half-commands.js';
import { addInitCommand } from './init-command.js';
import { addSagaCommands } from './saga-commands.js';
import { globals, type Output, target, withDatabase } from './target.js';
import { addTopicCommands } from './topic-commands.js';

/** The `waybill` command. */
export function createProgram(output: Output): Command {
  const program = new Command('waybill')
    .description('Sets up and looks after the tables of Waybill. Works on the database of DATABASE_URL.')
    .option('--database-url <url>', 'the database, postgresql://… (default: DATABASE_URL)')
    .option('--schema <name>', "Waybill's schema", DEFAULT_SCHEMA)
    .exitOverride()
    .showHelpAfterError('(see waybill --help)');
  addInitCommand(program, output);
  addMigrationCommands(program, output);
  addDoctorCommand(program, output);
  addTopicCommands(program, output);
  addOperatorCommands(program, output);
  addDeadLetterCommands(program, output);
  addHalfCommands(program, output);
  addSagaCommands(program, output);
  addAsyncApiCommand(program, output);
  return program;
}

function addMigrationCommands(program: Command, output: Output): void {
  const migrations = (name: string): Command =>
    program
      .command(name)
      .option('--participant', 'only what a service needs whose log is in another database: no outbox');
  migrations('migrate')
    .description('applies the migrations that are missing')
    .action(async (options: Participant) => {
      const applied = await migrate({ ...target(program), ...options });
      for (const name of applied) output.write(`applied ${name}\n`);
      if (applied.length === 0) output.write('nothing to do, the schema is up to date\n');
    });
  migrations('status')
    .description('lists the migrations; exits with 3 when some are pending')
    .action(async (options: Participant) => {
      const states = await migrationStatus({ ...target(program), ...options });
      for (const { name, appliedAt } of states) {
        output.write(`${appliedAt === null ? 'pending' : appliedAt.toISOString()}  ${name}\n`);
      }
      if (states.some(({ appliedAt }) => appliedAt === null)) process.exitCode = 3;
    });
  migrations('sql')
    .description('prints the schema as SQL, for other migration tools; needs no database')
    .action(({ participant = false }: Participant) =>
      output.write(migrationSql(globals(program).schema, participant ? 'participant' : 'whole')),
    );
}

/** Given to the commands of migrations. */
interface Participant {
  readonly participant?: boolean;
}

function addOperatorCommands(program: Command, output: Output): void {
  program
    .command('lag')
    .argument('<group>')
    .description('shows how far a consumer group is behind')
    .action((group: string) =>
      withDatabase(program, async (database) => {
        for (const { topic, partition, position, endOffset, lag } of await groupLag(
          database.session,
          group,
        )) {
          output.write(`${topic}[${partition}]  position ${position}  end ${endOffset}  lag ${lag}\n`);
        }
      }),
    );
  program
    .command('relay')
    .description('looks after the relay')
    .command('adopt')
    .description(
      'lets the relay begin anew after the database was loaded into another cluster; stop publishers first',
    )
    .option('--execute', 'do it; without, only say what it is for')
    .action((options: { execute?: boolean }) =>
      withDatabase(program, async (database) => {
        if (options.execute !== true) {
          output.write('Stop every publisher, then run this again with --execute.\n');
          return;
        }
        output.write(
          `the relay begins anew; ${await adoptCluster(database.session)} messages wait to be moved\n`,
        );
      }),
    );
}
