import { type Fault, type FaultTargets, oneOf } from './fault.js';
import { mountsUnavailable } from '../runner/mount-namespace.js';
import { placeOfBus } from '../runner/place-of-bus.js';
import { connectSoon, connectTo, untilLocked } from './own-connection.js';

const LOCKED_TABLES = [
  'waybill.outbox',
  'waybill.relay_intent',
  'waybill.progress_owner',
  'waybill.delivery_mark',
  'waybill.consumer_position',
  'waybill.parked_message',
  'waybill_bus.log_batch',
  'waybill_bus.log_source',
  'waybill_bus.partition_owner',
];

/** A server crashes (it is stopped without a checkpoint), and starts again. */
export const serverCrash: Fault = {
  durationMs: 0,
  async begin({ servers, random }) {
    const victim = oneOf(servers, random);
    return { detail: `server of the ${victim.role}`, heal: () => victim.current.restart('immediate') };
  },
};

/**
 * A server crashes for good, and its synchronous replica takes its place at the same address. Then the server that failed
 * comes back as a replica: until that, the new primary has none.
 */
export const failover: Fault = {
  durationMs: 2_000,
  unavailable: ({ faults, seed }) =>
    faults.includes('disk-full') && mountsUnavailable() === undefined && placeOfBus(seed) !== 'another server'
      ? `with seed ${seed} the only server is the one of disk-full, which has no replica; every fourth seed (3, 7, …) has another`
      : undefined,
  async begin({ servers, processes, random }) {
    const victim = oneOf(
      servers.filter(({ hasReplica }) => hasReplica),
      random,
    );
    await victim.failOver();
    for (const { to, proxy } of processes.flatMap(({ ways }) => ways))
      if (to === victim.role) proxy.moveTo(victim.current.connectionString);
    return { detail: `server of the ${victim.role}`, heal: () => victim.restoreReplica() };
  },
};

/** Sessions of all databases of the run. */
const OTHERS = "a.datname like 'chaos%' and a.pid <> pg_backend_pid()";

/** An administrator, or a failover, ends sessions. */
export const terminated: Fault = {
  durationMs: 500,
  async begin({ database, bus, random }) {
    // A session of its own: it is not among those that it ends.
    const client = await connectSoon(oneOf([database, bus], random));
    const terminate = (): Promise<unknown> =>
      client.query(
        `select pg_terminate_backend(a.pid) from pg_stat_activity a where ${OTHERS} and random() < 0.5`,
      );
    await terminate();
    return {
      detail: 'half of the sessions',
      heal: async () => {
        await terminate();
        await client.end();
      },
    };
  },
};

/** Somebody holds a table with the strongest lock. */
export const tableLocked: Fault = {
  durationMs: 3_000,
  async begin({ database, bus, random }) {
    const table = oneOf(LOCKED_TABLES, random);
    const client = await connectSoon(isOfBus(table) ? bus : database);
    // Its partitions are locked one by one, and sessions lock them in other orders.
    await untilLocked(client, 'begin', `lock table ${table} in access exclusive mode`);
    return { detail: table, heal: () => client.end() };
  },
};

function isOfBus(table: string): boolean {
  return table.startsWith('waybill_bus.');
}

/** Others take every connection that the server has left. */
export const exhausted: Fault = {
  durationMs: 3_000,
  async begin({ database, bus, random }) {
    const victim = oneOf([database, bus], random);
    const clients: Awaited<ReturnType<typeof connectTo>>[] = [];
    for (;;) {
      try {
        clients.push(await connectTo(victim));
      } catch {
        break;
      }
    }
    return {
      detail: `${clients.length} connections`,
      heal: async () => void (await Promise.all(clients.map((client) => client.end()))),
    };
  },
};

/** Every statement of new sessions has a time limit that some do not keep. */
export const statementTimeout: Fault = {
  durationMs: 4_000,
  begin: (targets) => changeSetting(targets, 'statement_timeout', '15ms'),
};

/** Sessions that wait inside a transaction, as slow handlers do, are ended by the server. */
export const idleInTransaction: Fault = {
  durationMs: 4_000,
  begin: (targets) => changeSetting(targets, 'idle_in_transaction_session_timeout', '50ms'),
};

/** Changes a setting of the database, and opens all sessions again. */
async function changeSetting(
  { database, bus, random }: FaultTargets,
  setting: string,
  value: string,
): ReturnType<Fault['begin']> {
  // A session of its own: the setting does not apply to it.
  const client = await connectSoon(oneOf([database, bus], random));
  const { rows } = await client.query<{ name: string }>('select quote_ident(current_database()) as name');
  const name = rows[0]?.name ?? '';
  const renew = (): Promise<unknown> =>
    client.query(`select pg_terminate_backend(a.pid) from pg_stat_activity a where ${OTHERS}`);
  await client.query(`alter database ${name} set ${setting} = '${value}'`);
  await renew();
  return {
    detail: value,
    heal: async () => {
      await client.query(`alter database ${name} reset ${setting}`);
      await renew();
      await client.end();
    },
  };
}
