import { migrate } from '@waybill/schema';
import { createDatabase } from '@waybill/testing';
import { TOPIC } from '../load/topic.js';
import { watchOwners } from './owner-tables.js';
import { watchIntended, watchLogged } from './pass-tables.js';
import { placeOfBus } from './place-of-bus.js';
import { RunDatabase } from './run-database.js';
import { RunServer, type RunServerOptions } from './run-server.js';
import { createSagaTables } from './saga-tables.js';
import { turnBus, turnRings } from './turning-rings.js';

const LEDGER = `create table ledger (
    id bigint generated always as identity, consumer text not null, n integer not null, partition integer not null,
    log_offset bigint not null, attempt integer not null, delivery text not null, at timestamptz not null default clock_timestamp());`;
const TABLES = `
  create table chaos_key (key text primary key, turn integer not null default 0);
  create table published (n integer primary key, key text not null, turn integer not null);
  ${LEDGER}
  create table scheduled (n integer primary key, due_at timestamptz not null);
  create table lost_to_retention (consumer text not null, n integer not null);
  create table half_ledger (n integer not null);
  create table later_ledger (n integer not null, at timestamptz not null default clock_timestamp());`;

/** The servers of a run, and the databases of its services and its bus. */
export interface Databases {
  /** Of the services. */
  readonly server: RunServer;
  /** That, and the bus's where it has its own. */
  readonly servers: readonly RunServer[];
  /** The service's. */
  readonly database: RunDatabase;
  /** The bus's: see {@link placeOfBus}. */
  readonly bus: RunDatabase;
  /** The database of another service, which has a group of its own; and of the local work of half messages. */
  readonly local: RunDatabase;
  /** The database of a third service, with the sagas; the service's where the bus is there, too. */
  readonly sagas: RunDatabase;
  close(): Promise<void>;
}

/** Starts the servers, and makes the databases. Their rings turn in seconds. */
export async function openDatabases(
  seed: number,
  { keys, ...options }: { readonly keys: number } & RunServerOptions,
): Promise<Databases> {
  const place = placeOfBus(seed);
  const server = await RunServer.start('service', options);
  const busServer =
    place === 'another server' ? await RunServer.start('bus', { ...options, hasSmallDisk: false }) : server;
  const servers = [...new Set([server, busServer])];
  const database = await ofService(server, 'chaos', 6);
  await database.pool.query(TABLES);
  await database.pool.query(
    `insert into chaos_key (key) select 'key-' || n from generate_series(0, $1::integer - 1) n`,
    [keys],
  );
  const isApart = place !== "the service's database";
  const bus = isApart ? await createBus(busServer) : database;
  await migrate({ connectionString: bus.url, part: 'bus' });
  const local = await ofService(server, 'chaos_local', 4);
  await local.pool.query(`create table half_done (n integer primary key); ${LEDGER}`);
  for (const { pool } of [database, local]) await watchOwners(pool, TOPIC);
  const sagas = isApart ? await ofService(server, 'chaos_sagas', 4) : database;
  await createSagaTables(sagas.pool);
  for (const { pool } of new Set([database, sagas])) await watchIntended(pool);
  for (const { pool } of new Set([database, local, sagas])) await turnRings(pool);
  await watchLogged(bus.pool);
  await turnBus(bus.pool);
  return {
    server,
    servers,
    database,
    bus,
    local,
    sagas,
    close: async () => {
      await Promise.all([...new Set([database, bus, local, sagas])].map((one) => one.close()));
      await Promise.all(servers.map((one) => one.stop()));
    },
  };
}

async function ofService(server: RunServer, name: string, connections: number): Promise<RunDatabase> {
  const { connectionString } = await createDatabase(server, name);
  await migrate({ connectionString, part: 'service' });
  return new RunDatabase(connectionString, connections);
}

async function createBus(server: RunServer): Promise<RunDatabase> {
  const { connectionString } = await createDatabase(server, 'chaos_bus');
  return new RunDatabase(connectionString, 4);
}
