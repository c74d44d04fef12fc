import { ConfigurationError, PgDatabase } from '@waybill/kernel';
import { assertMigrated } from '@waybill/schema';
import type { Command } from 'commander';

/** How long a statement of a command may take, in milliseconds: an operator's may be about many rows. */
const COMMAND_TIMEOUT_MS = 120_000;

/** Where the command writes what it prints. */
export interface Output {
  write(text: string): void;
}

interface GlobalOptions {
  readonly databaseUrl?: string;
  readonly schema: string;
}

/** Options that stand before the name of a command. */
export function globals(program: Command): GlobalOptions {
  return program.opts<GlobalOptions>();
}

/** The database and schema to work on. @throws ConfigurationError when no database was named */
export function target(program: Command): { connectionString: string; schema: string } {
  const { databaseUrl, schema } = globals(program);
  const connectionString = databaseUrl ?? process.env['DATABASE_URL'];
  if (connectionString === undefined || connectionString === '') {
    throw new ConfigurationError('There is no database to work on', [
      'set DATABASE_URL, or give --database-url',
    ]);
  }
  return { connectionString, schema };
}

/** Runs `work` on the database, once it is known to be migrated. */
export async function withDatabase(
  program: Command,
  work: (database: PgDatabase) => Promise<void>,
): Promise<void> {
  const database = new PgDatabase({
    ...target(program),
    connectionsMax: 3,
    applicationName: 'waybill cli',
    queryTimeoutMs: COMMAND_TIMEOUT_MS,
  });
  try {
    await assertMigrated(database.session);
    await work(database);
  } finally {
    await database.close();
  }
}
