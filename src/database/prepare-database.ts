import { migrate } from '@waybill/schema';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../contracts/services.js';
import { migrateShop } from './migrate-shop.js';
import { connectionStringAs, grantServiceRoles, serviceRole } from './service-roles.js';

/** The number that Prisma's own migrator locks, so that the two keep out of each other's way. */
const MIGRATION_LOCK = 72_707_369;

/** A database that is ready for the shop. */
export interface PreparedDatabase {
  readonly connectionStrings: Record<ServiceName, string>;
  /** False when the login may not create roles, so that nothing keeps a service from the others' tables. */
  readonly isolated: boolean;
}

/**
 * Brings the database up to date: Waybill's tables, the shop's tables, a role for each service. Any number of
 * processes may do so at once, and again at every start.
 */
export async function prepareDatabase(connectionString: string): Promise<PreparedDatabase> {
  await migrate({ connectionString });
  const client = new pg.Client({ connectionString, application_name: 'shop migration' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await migrateShop(client);
    const { rows } = await client.query<{ database: string }>('select current_database() as database');
    const database = rows[0]?.database ?? '';
    const isolated = await grantServiceRoles(client, database);
    const connectionStrings = Object.fromEntries(
      SERVICES.map((service) => [
        service,
        isolated ? connectionStringAs(connectionString, serviceRole(database, service)) : connectionString,
      ]),
    ) as Record<ServiceName, string>;
    return { connectionStrings, isolated };
  } finally {
    await client.end();
  }
}
