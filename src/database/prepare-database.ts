import { migrate } from '@waybill/schema';
import pg from 'pg';
import type { ServiceName } from '../contracts/services.js';
import { migrateShop } from './migrate-shop.js';
import { connectionStringAs, grantServiceRoles, serviceRole } from './service-roles.js';

/** The number that Prisma's own migrator locks, so that the two keep out of each other's way. */
const MIGRATION_LOCK = 72_707_369;

/** Databases that are ready for the shop. */
export interface PreparedDatabases {
  /** Where the tables of each service are. */
  readonly connectionStrings: Record<ServiceName, string>;
  /** Where payments finds the log. */
  readonly paymentsLog: string;
  /** False when the login may not create roles, so that nothing keeps a service from the others' tables. */
  readonly isolated: boolean;
}

/**
 * Brings the databases up to date: Waybill's tables, the shop's tables, a role for each service. Any number of processes
 * may do so at once, and again at every start.
 *
 * @param main where the log is, with the tables of orders and inventory
 * @param ledger where payments keeps its own
 */
export async function prepareDatabases(main: string, ledger: string): Promise<PreparedDatabases> {
  const shop = await prepare({ connectionString: main }, ['orders', 'inventory'], ['payments']);
  const books = await prepare({ connectionString: ledger, participant: true }, ['payments'], []);
  return {
    connectionStrings: {
      orders: shop.as('orders'),
      inventory: shop.as('inventory'),
      payments: books.as('payments'),
    },
    paymentsLog: shop.as('payments'),
    isolated: shop.isolated && books.isolated,
  };
}

interface Prepared {
  readonly isolated: boolean;
  /** How a service connects. */
  readonly as: (service: ServiceName) => string;
}

async function prepare(
  database: { readonly connectionString: string; readonly participant?: boolean },
  owners: readonly ServiceName[],
  guests: readonly ServiceName[],
): Promise<Prepared> {
  await migrate(database);
  const { connectionString } = database;
  const client = new pg.Client({ connectionString, application_name: 'shop migration' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await migrateShop(client, owners);
    const { rows } = await client.query<{ database: string }>('select current_database() as database');
    const database = rows[0]?.database ?? '';
    const isolated = await grantServiceRoles(client, database, owners, guests);
    const as = (service: ServiceName): string =>
      isolated ? connectionStringAs(connectionString, serviceRole(database, service)) : connectionString;
    return { isolated, as };
  } finally {
    await client.end();
  }
}
