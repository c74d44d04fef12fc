import type pg from 'pg';
import { type Fault, type FaultTargets, oneOf } from './fault.js';
import { connectSoon, connectTo } from './own-connection.js';

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
    return { detail: `server ${servers.indexOf(victim) + 1}`, heal: () => victim.restart('immediate') };
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

/** Locks a table, and its partitions one by one: where that meets sessions that lock them in another order, again. */
async function lockSoon(client: pg.Client, table: string): Promise<void> {
  for (;;) {
    try {
      await client.query('begin');
      await client.query(`lock table ${table} in access exclusive mode`);
      return;
    } catch (error) {
      await client.query('rollback');
      if ((error as { readonly code?: string }).code !== '40P01') throw error;
    }
  }
}

/** Somebody holds a table with the strongest lock. */
export const tableLocked: Fault = {
  durationMs: 3_000,
  async begin({ database, bus, random }) {
    const table = oneOf(LOCKED_TABLES, random);
    const client = await connectSoon(isOfBus(table) ? bus : database);
    await lockSoon(client, table);
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
