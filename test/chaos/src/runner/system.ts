import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogEngine, Topics } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { createDatabase, type EmbeddedPostgres, type RedisServer, startPostgres } from '@waybill/testing';
import { startRunRedis } from '../faults/redis-faults.js';
import { COMMANDS } from '../load/saga-definitions.js';
import { HALF_TOPIC, LATER_TOPIC, SAGA_GROUP, TOPIC } from '../load/topic.js';
import type { Mutant, Planting } from '../mutants/mutant.js';
import { plantInDatabases } from '../mutants/plant-in-database.js';
import { mountSmallDisk, unmount } from './mount-namespace.js';
import { watchOwners } from './owner-tables.js';
import { watchPasses } from './pass-tables.js';
import { programs } from './programs.js';
import { LoadProcess } from './load-process.js';
import { RunDatabase } from './run-database.js';
import { createSagaTables } from './saga-tables.js';
import { PUBLISHERS_RING, turnBus, turnRings } from './turning-rings.js';

const PARTITIONS = 6;
const KEYS = 60;
const DISK_MEGABYTES = 600;

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
  create table later_ledger (n integer not null, at timestamptz not null default clock_timestamp());
  insert into chaos_key (key) select 'key-' || n from generate_series(0, ${KEYS - 1}) n`;

/** The system under test: servers of its own, databases, and the processes of the load. */
export interface System {
  /** Of the services. */
  readonly server: EmbeddedPostgres;
  /** That, and the bus's where it has its own. */
  readonly servers: readonly EmbeddedPostgres[];
  /** The service's. */
  readonly database: RunDatabase;
  /** The bus's: see {@link placeOfBus}. */
  readonly bus: RunDatabase;
  /** The database of another service, which has a group of its own; and of the local work of half messages. */
  readonly local: RunDatabase;
  /** The clock of timers; undefined where there is none. */
  readonly redis: RedisServer | undefined;
  readonly log: LogEngine;
  readonly topics: Topics;
  /** Where the run keeps its files. */
  readonly folder: string;
  readonly processes: readonly LoadProcess[];
  close(): Promise<void>;
}

/** Where the bus of a run is: in the service's database, in another one of its server, or on another server. */
function placeOfBus(seed: number): "the service's database" | 'another database' | 'another server' {
  if (seed % 2 === 0) return "the service's database";
  return seed % 4 === 1 ? 'another database' : 'another server';
}

/** Starts the system. Its processes record into `folder`. */
export async function startSystem(
  folder: string,
  seed: number,
  perSecond: number,
  hasSmallDisk: boolean,
  mutant?: Mutant,
): Promise<System> {
  const { server, stop } = await startServer(hasSmallDisk);
  const created = await createDatabase(server, 'chaos');
  const { connectionString } = created;
  await migrate({ connectionString, part: 'service' });
  const database = new RunDatabase(connectionString, 6);
  const place = placeOfBus(seed);
  const apart = place === 'another server' ? await startServer(false) : undefined;
  const busServer = apart?.server ?? server;
  const ofBus = place === "the service's database" ? created : await createDatabase(busServer, 'chaos_bus');
  await migrate({ connectionString: ofBus.connectionString, part: 'bus' });
  const bus = ofBus === created ? database : new RunDatabase(ofBus.connectionString, 4);
  await database.pool.query(TABLES);
  await createSagaTables(database.pool);
  const local = await localDatabase(server);
  for (const { pool } of [database, local]) await watchOwners(pool, TOPIC);
  await watchPasses(database.pool, bus.pool);
  const plantings: Planting[] = [PUBLISHERS_RING, ...(mutant === undefined ? [] : [mutant])];
  const pools = [...new Set([database.pool, bus.pool, local.pool])];
  if (mutant !== undefined) await plantInDatabases(pools, mutant);
  for (const { pool } of [database, local]) await turnRings(pool);
  await turnBus(bus.pool);
  const log = new PostgresLogEngine(bus, { service: database });
  const { topics } = log;
  await topics.create(TOPIC, { partitions: PARTITIONS });
  await topics.create(LATER_TOPIC, { partitions: 2 });
  await topics.create(HALF_TOPIC, { partitions: 2 });
  for (const topic of [...Object.values(COMMANDS), `${SAGA_GROUP}.saga-replies`])
    await topics.create(topic, { partitions: 2 });
  const redis = await startRunRedis(folder);
  const processes = await Promise.all(
    programs({
      folder,
      seed,
      perSecond,
      keys: KEYS,
      redis: redis?.url,
      main: database.name,
      local: local.name,
      bus: bus === database ? undefined : bus.name,
    }).map(([name, program, settings]) =>
      LoadProcess.create(
        name,
        program,
        { service: connectionString, bus: apart?.server.connectionString },
        settings,
        plantings,
      ),
    ),
  );
  await Promise.all(processes.map((one) => one.start()));
  return {
    server,
    servers: [...new Set([server, busServer])],
    database,
    bus,
    local,
    redis,
    folder,
    log,
    topics,
    processes,
    close: async () => {
      await Promise.all(processes.map((one) => one.close()));
      await Promise.all([...new Set([database, bus, local])].map((one) => one.close()));
      await Promise.all([stop(), apart?.stop(), redis?.stop()]);
    },
  };
}

/** @param hasSmallDisk its disk is a file system that can be filled; needs a mount namespace */
async function startServer(
  hasSmallDisk: boolean,
): Promise<{ server: EmbeddedPostgres; stop: () => Promise<void> }> {
  const settings = { max_prepared_transactions: '20' };
  if (!hasSmallDisk) {
    const server = await startPostgres({ settings });
    return { server, stop: () => server.stop() };
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'waybill-chaos-disk-'));
  mountSmallDisk(dataDir, DISK_MEGABYTES);
  const server = await startPostgres({ settings: { ...settings, max_wal_size: '128MB' }, dataDir });
  return {
    server,
    stop: async () => {
      await server.stop();
      unmount(dataDir);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function localDatabase(server: EmbeddedPostgres): Promise<RunDatabase> {
  const { connectionString } = await createDatabase(server, 'chaos_local');
  await migrate({ connectionString, part: 'service' });
  const local = new RunDatabase(connectionString, 4);
  await local.pool.query(`create table half_done (n integer primary key); ${LEDGER}`);
  return local;
}
