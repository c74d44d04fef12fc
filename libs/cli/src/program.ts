import { ConfigurationError, DEFAULT_SCHEMA, PgDatabase } from '@waybill/kernel';
import { groupLag, Topics } from '@waybill/log';
import { adoptCluster } from '@waybill/outbox';
import { assertMigrated, migrate, migrationSql, migrationStatus } from '@waybill/schema';
import { Command, InvalidArgumentError } from 'commander';

/** Where the command writes what it prints. */
export interface Output {
  write(text: string): void;
}

interface GlobalOptions {
  readonly databaseUrl?: string;
  readonly schema: string;
}

/** The `waybill` command. */
export function createProgram(output: Output): Command {
  const program = new Command('waybill')
    .description('Sets up and looks after the tables of Waybill. Works on the database of DATABASE_URL.')
    .option('--database-url <url>', 'the database, postgresql://… (default: DATABASE_URL)')
    .option('--schema <name>', "Waybill's schema", DEFAULT_SCHEMA)
    .exitOverride()
    .showHelpAfterError('(see waybill --help)');
  addMigrationCommands(program, output);
  addTopicCommands(program, output);
  addOperatorCommands(program, output);
  return program;
}

function addMigrationCommands(program: Command, output: Output): void {
  program
    .command('migrate')
    .description('applies the migrations that are missing')
    .action(async () => {
      const applied = await migrate(target(program));
      for (const name of applied) output.write(`applied ${name}\n`);
      if (applied.length === 0) output.write('nothing to do, the schema is up to date\n');
    });
  program
    .command('status')
    .description('lists the migrations; exits with 3 when some are pending')
    .action(async () => {
      const states = await migrationStatus(target(program));
      for (const { name, appliedAt } of states) {
        output.write(`${appliedAt === null ? 'pending' : appliedAt.toISOString()}  ${name}\n`);
      }
      if (states.some(({ appliedAt }) => appliedAt === null)) process.exitCode = 3;
    });
  program
    .command('sql')
    .description('prints the whole schema as SQL, for other migration tools; needs no database')
    .action(() => output.write(migrationSql(globals(program).schema)));
}

function addTopicCommands(program: Command, output: Output): void {
  const topic = program.command('topic').description('lists and creates topics');
  topic
    .command('list')
    .description('lists the topics')
    .action(() =>
      withDatabase(program, async (database) => {
        for (const { name, partitionIds, retentionMs } of await new Topics(database.session).list()) {
          output.write(`${name}  ${partitionIds.length} partitions  retention ${retentionMs} ms\n`);
        }
      }),
    );
  topic
    .command('create')
    .argument('<name>')
    .option('--partitions <n>', 'number of partitions (default 4)', wholeNumber)
    .option('--retention-ms <n>', 'how long records are kept (default 7 days)', wholeNumber)
    .description('creates a topic; one that exists is left as it is')
    .action((name: string, options: { partitions?: number; retentionMs?: number }) =>
      withDatabase(program, async (database) => {
        const created = await new Topics(database.session).create(name, options);
        output.write(`${created.name}  ${created.partitionIds.length} partitions\n`);
      }),
    );
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

function globals(program: Command): GlobalOptions {
  return program.opts<GlobalOptions>();
}

function target(program: Command): { connectionString: string; schema: string } {
  const { databaseUrl, schema } = globals(program);
  const connectionString = databaseUrl ?? process.env['DATABASE_URL'];
  if (connectionString === undefined || connectionString === '') {
    throw new ConfigurationError('There is no database to work on', [
      'set DATABASE_URL, or give --database-url',
    ]);
  }
  return { connectionString, schema };
}

async function withDatabase(program: Command, work: (database: PgDatabase) => Promise<void>): Promise<void> {
  const database = new PgDatabase({ ...target(program), connectionsMax: 1, applicationName: 'waybill cli' });
  try {
    await assertMigrated(database.session);
    await work(database);
  } finally {
    await database.close();
  }
}

function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('must be a whole number');
  return Number(value);
}
