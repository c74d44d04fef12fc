import { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import pg from 'pg';
import type { ServiceName } from '../contracts/services.js';
import { topicSettings } from '../contracts/topics.js';
import { migrateShop } from './migrate-shop.js';
import { type LoginName, type LoginRights, makeLogins } from './logins.js';
import { BUS_RIGHTS, LEDGER_RIGHTS } from './login-rights.js';

/** The number that Prisma's own migrator locks, so that the two exclude each other. */
const MIGRATION_LOCK = 72_707_369;

/** Databases that are ready for the shop. */
export interface PreparedDatabases {
  /** Connection string to each service's tables. */
  readonly connectionStrings: Record<ServiceName, string>;
  /** Connection string of payments to the log. */
  readonly paymentsLog: string;
  /** Connection string for operators who decide about dead letters. */
  readonly operator: string;
  /** False when the owner may not create roles, in which case services can access each other's tables. */
  readonly isolated: boolean;
}

/**
 * Brings the databases up to date, as their owner: Waybill's tables, the topics, the shop's tables, a login for each
 * service and for the operator. Any number of processes may do so concurrently, and again at every start.
 *
 * @param main where the log is, with the tables of orders and inventory
 * @param ledger the database of payments' tables
 */
export async function prepareDatabases(main: string, ledger: string): Promise<PreparedDatabases> {
  const shop = await prepare({ connectionString: main }, ['orders', 'inventory'], BUS_RIGHTS);
  const books = await prepare({ connectionString: ledger, participant: true }, ['payments'], LEDGER_RIGHTS);
  return {
    connectionStrings: {
      orders: shop.as('orders'),
      inventory: shop.as('inventory'),
      payments: books.as('payments'),
    },
    paymentsLog: shop.as('payments'),
    operator: shop.as('operator'),
    isolated: shop.isolated && books.isolated,
  };
}

interface Prepared {
  readonly isolated: boolean;
  /** A service's connection string. */
  readonly as: (name: LoginName) => string;
}

async function prepare(
  database: { readonly connectionString: string; readonly participant?: boolean },
  tablesOf: readonly ServiceName[],
  rights: Partial<Record<LoginName, LoginRights>>,
): Promise<Prepared> {
  await migrate(database);
  const { connectionString, participant } = database;
  if (participant !== true) await createTopics(connectionString);
  const client = new pg.Client({ connectionString, application_name: 'shop migration' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await migrateShop(client, tablesOf);
    const { rows } = await client.query<{ database: string }>('select current_database() as database');
    const name = rows[0]?.database ?? '';
    const logins = await makeLogins(client, connectionString, name, rights, tablesOf);
    return { isolated: logins !== undefined, as: (login) => logins?.[login] ?? connectionString };
  } finally {
    await client.end();
  }
}

/** Done by the owner: a service may create only the topics that it uses. */
async function createTopics(connectionString: string): Promise<void> {
  const database = new PgDatabase({ connectionString, connectionsMax: 1 });
  try {
    const { topics } = new PostgresLogEngine(database);
    for (const [name, settings] of Object.entries(topicSettings())) await topics.create(name, settings);
  } finally {
    await database.close();
  }
}
