import type { RedisServer } from '@waybill/testing';
import type { LogEngine, Topics } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { startRunRedis } from '../faults/redis-faults.js';
import { databaseUrl } from '../load/program.js';
import { COMMANDS } from '../load/saga-definitions.js';
import { HALF_TOPIC, LATER_TOPIC, SAGA_GROUP, TOPIC } from '../load/topic.js';
import type { Mutant, Planting } from '../mutants/mutant.js';
import { plantInDatabases } from '../mutants/plant-in-database.js';
import { type Databases, openDatabases } from './databases.js';
import { programs } from './programs.js';
import { LoadProcess } from './load-process.js';
import type { RunServerOptions } from './run-server.js';
import { PUBLISHERS_RING } from './turning-rings.js';

const PARTITIONS = 6;
const KEYS = 60;

/** The system under test: servers of its own, databases, and the processes of the load. */
export interface System extends Databases {
  /** The clock of timers; undefined where there is none. */
  readonly redis: RedisServer | undefined;
  readonly log: LogEngine;
  readonly topics: Topics;
  /** Where the run keeps its files. */
  readonly folder: string;
  readonly processes: readonly LoadProcess[];
}

/** Starts the system. Its processes record into `folder`. */
export async function startSystem(
  folder: string,
  seed: number,
  perSecond: number,
  options: RunServerOptions,
  mutant?: Mutant,
): Promise<System> {
  const databases = await openDatabases(seed, { keys: KEYS, ...options });
  const { server, servers, database, bus, local, sagas } = databases;
  // A bug comes first: what is to be replaced may be a whole file.
  const plantings: Planting[] = [...(mutant === undefined ? [] : [mutant]), PUBLISHERS_RING];
  const pools = [...new Set([database.pool, bus.pool, local.pool, sagas.pool])];
  if (mutant !== undefined) await plantInDatabases(pools, mutant);
  const log = new PostgresLogEngine(bus, { service: database });
  const { topics } = log;
  await topics.create(TOPIC, { partitions: PARTITIONS });
  await topics.create(LATER_TOPIC, { partitions: 2 });
  await topics.create(HALF_TOPIC, { partitions: 2 });
  for (const topic of [...Object.values(COMMANDS), `${SAGA_GROUP}.saga-replies`])
    await topics.create(topic, { partitions: 2 });
  const redis = await startRunRedis(folder);
  const toRun = programs({
    folder,
    seed,
    perSecond,
    keys: KEYS,
    redis: redis?.url,
    main: database.name,
    local: local.name,
    sagas: sagas === database ? undefined : sagas.name,
    bus: bus === database ? undefined : bus.name,
  });
  // Without the runner's own way: theirs is moved in a failover, too.
  const urls = {
    service: databaseUrl(server.current.connectionString, database.name),
    bus: servers.find((one) => one !== server)?.current.connectionString,
  };
  const processes = await Promise.all(
    toRun.map(([name, program, settings]) => LoadProcess.create(name, program, urls, settings, plantings)),
  );
  await Promise.all(processes.map((one) => one.start()));
  return {
    ...databases,
    redis,
    folder,
    log,
    topics,
    processes,
    close: async () => {
      await Promise.all(processes.map((one) => one.close()));
      await Promise.all([databases.close(), redis?.stop()]);
    },
  };
}
