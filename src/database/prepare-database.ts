import { PgDatabase } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate, type SchemaPart } from '@waybill/schema';
import pg from 'pg';
import { SERVICES, type ServiceName } from '../contracts/services.js';
import { topicSettings } from '../contracts/topics.js';
import { migrateShop } from './migrate-shop.js';
import { type LoginName, type LoginRights, makeLogins } from './logins.js';
import { BUS_RIGHTS, OPERATOR_RIGHTS, SERVICE_RIGHTS } from './login-rights.js';

/** The number that Prisma's own migrator locks, so that the two exclude each other. */
const MIGRATION_LOCK = 72_707_369;

/** Connection strings of the owner: a database for each service, and the bus. */
export type ShopDatabases = Readonly<Record<ServiceName | 'bus', string>>;

/** Databases that are ready for the shop. */
export interface PreparedDatabases {
  /** Connection string to each service's own database. */
  readonly connectionStrings: Record<ServiceName, string>;
  /** Connection string of each service, and of the operator, to the bus. */
  readonly busConnectionStrings: Record<LoginName, string>;
  /** Connection string of the operator, who decides about dead letters, to each service's database. */
  readonly operatorConnectionStrings: Record<ServiceName, string>;
  /** False when the owner may not create roles, in which case services can access each other's tables. */
  readonly isolated: boolean;
}

/**
 * Brings the databases up to date, as their owner: Waybill's tables, the topics, the shop's tables, a login for each
 * service and for the operator. Any number of processes may do so concurrently, and again at every start.
 */
export async function prepareDatabases(databases: ShopDatabases): Promise<PreparedDatabases> {
  const bus = await prepare(databases.bus, 'bus', BUS_RIGHTS);
  const of = {
    orders: await prepareService(databases, 'orders'),
    inventory: await prepareService(databases, 'inventory'),
    payments: await prepareService(databases, 'payments'),
  };
  const everyService = (as: (service: ServiceName) => string): Record<ServiceName, string> => ({
    orders: as('orders'),
    inventory: as('inventory'),
    payments: as('payments'),
  });
  return {
    connectionStrings: everyService((service) => of[service].as(service)),
    busConnectionStrings: { ...everyService(bus.as), operator: bus.as('operator') },
    operatorConnectionStrings: everyService((service) => of[service].as('operator')),
    isolated: bus.isolated && SERVICES.every((service) => of[service].isolated),
  };
}

interface Prepared {
  readonly isolated: boolean;
  /** The connection string of a login. */
  readonly as: (name: LoginName) => string;
}

function prepareService(databases: ShopDatabases, service: ServiceName): Promise<Prepared> {
  const rights = { [service]: SERVICE_RIGHTS, operator: OPERATOR_RIGHTS };
  return prepare(databases[service], 'service', rights, service);
}

/** @param service whose tables are there; undefined for the bus */
async function prepare(
  connectionString: string,
  part: SchemaPart,
  rights: Partial<Record<LoginName, LoginRights>>,
  service?: ServiceName,
): Promise<Prepared> {
  await migrate({ connectionString, part });
  if (part === 'bus') await createTopics(connectionString);
  const client = new pg.Client({ connectionString, application_name: 'shop migration' });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    if (service !== undefined) await migrateShop(client, service);
    const { rows } = await client.query<{ database: string }>('select current_database() as database');
    const name = rows[0]?.database ?? '';
    const logins = await makeLogins(client, connectionString, name, rights, service);
    return { isolated: logins !== undefined, as: (login) => logins?.[login] ?? connectionString };
  } finally {
    await client.end();
  }
}

/** Done by the owner: a service may create only the topics that it uses. */
async function createTopics(connectionString: string): Promise<void> {
  const database = new PgDatabase({ connectionString, connectionsMax: 1 });
  try {
    const { topics } = new PostgresLogEngine(database, { service: null });
    for (const [name, settings] of Object.entries(topicSettings())) await topics.create(name, settings);
  } finally {
    await database.close();
  }
}
