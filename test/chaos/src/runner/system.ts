import { join } from 'node:path';
import { PgDatabase } from '@waybill/kernel';
import { Topics } from '@waybill/log';
import { migrate } from '@waybill/schema';
import { createDatabase, type EmbeddedPostgres, startPostgres } from '@waybill/testing';
import { LATER_TOPIC, TOPIC } from '../load/topic.js';
import type { Mutant } from '../mutants/mutant.js';
import { plantInDatabase } from '../mutants/plant-in-database.js';
import { LoadProcess } from './load-process.js';

const PARTITIONS = 6;
const KEYS = 60;
const LEASE = { leaseMs: 2_500, heartbeatMs: 500 };
/** Messages that one incarnation of a producer may number. */
const NUMBERS = 1_000_000;

/** The groups that handle every message, and in which order. */
export const GROUPS = { 'by-key': 'key', 'by-partition': 'partition' } as const;

const TABLES = `
  create table chaos_key (key text primary key, turn integer not null default 0);
  create table published (n integer primary key, key text not null, turn integer not null);
  create table ledger (
    id bigint generated always as identity, consumer text not null, n integer not null, partition integer not null,
    log_offset bigint not null, attempt integer not null, delivery text not null, at timestamptz not null default clock_timestamp());
  create table scheduled (n integer primary key, due_at timestamptz not null);
  create table later_ledger (n integer not null, at timestamptz not null default clock_timestamp());
  insert into chaos_key (key) select 'key-' || n from generate_series(0, ${KEYS - 1}) n`;

/** The system under test: a server of its own, a database, and the processes of the load. */
export interface System {
  readonly server: EmbeddedPostgres;
  readonly database: PgDatabase;
  readonly topics: Topics;
  readonly processes: readonly LoadProcess[];
  close(): Promise<void>;
}

/** Starts the system. Its processes record into `folder`. */
export async function startSystem(
  folder: string,
  seed: number,
  perSecond: number,
  mutant?: Mutant,
): Promise<System> {
  const server = await startPostgres();
  const created = await createDatabase(server, 'chaos');
  await migrate({ connectionString: created.connectionString });
  const database = new PgDatabase({ connectionString: created.connectionString, connectionsMax: 6 });
  await database.pool.query(TABLES);
  if (mutant !== undefined) await plantInDatabase(database.pool, mutant);
  const topics = new Topics(database.session);
  await topics.create(TOPIC, { partitions: PARTITIONS });
  await topics.create(LATER_TOPIC, { partitions: 2 });
  const processes = await Promise.all(
    programs(folder, seed, perSecond).map(([name, program, settings]) =>
      LoadProcess.create(name, program, created.connectionString, settings, mutant),
    ),
  );
  await Promise.all(processes.map((one) => one.start()));
  return {
    server,
    database,
    topics,
    processes,
    close: async () => {
      await Promise.all(processes.map((one) => one.close()));
      await database.close();
      await server.stop();
    },
  };
}

type Program = readonly [
  name: string,
  program: string,
  settings: (incarnation: number) => Record<string, unknown>,
];

function programs(folder: string, seed: number, perSecond: number): Program[] {
  const common = (name: string, index: number, incarnation: number): Record<string, unknown> => ({
    history: join(folder, `${name}.ndjson`),
    seed: seed + index * 1_000 + incarnation,
  });
  const producer = (number: number): Program => [
    `producer-${number}`,
    'producer',
    (incarnation) => ({
      ...common(`producer-${number}`, number, incarnation),
      first: (number * 200 + incarnation) * NUMBERS,
      perSecond: perSecond / 2,
      keys: KEYS,
    }),
  ];
  const relay = (number: number): Program => [
    `relay-${number}`,
    'relay',
    (incarnation) => common(`relay-${number}`, 10 + number, incarnation),
  ];
  const timers = (number: number): Program => [
    `timers-${number}`,
    'timers',
    (incarnation) => common(`timers-${number}`, 15 + number, incarnation),
  ];
  const consumer = (group: keyof typeof GROUPS, number: number): Program => [
    `consumer-${group}-${number}`,
    'consumer',
    (incarnation) => ({
      ...common(`consumer-${group}-${number}`, 20 + number, incarnation),
      group,
      concurrency: GROUPS[group],
      handlesLater: group === 'by-key',
      ...LEASE,
    }),
  ];
  return [
    producer(1),
    producer(2),
    relay(1),
    relay(2),
    timers(1),
    timers(2),
    consumer('by-key', 1),
    consumer('by-key', 2),
    consumer('by-partition', 1),
    consumer('by-partition', 2),
  ];
}
