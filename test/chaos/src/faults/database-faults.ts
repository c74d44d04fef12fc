import pg from 'pg';
import { TOPIC } from '../load/topic.js';
import { type Fault, oneOf } from './fault.js';

/** Numbers of messages of prepared transactions, apart from those of producers. */
const PREPARED_FROM = 1_000_000_000;
const LOCKED_TABLES = [
  'outbox',
  'log_batch',
  'partition_owner',
  'delivery_mark',
  'consumer_position',
  'parked_message',
];

/** PostgreSQL crashes (it is stopped without a checkpoint), and starts again. */
export const serverCrash: Fault = {
  durationMs: 0,
  async begin({ server }) {
    return { detail: 'server', heal: () => server.restart('immediate') };
  },
};

/** An administrator, or a failover, ends sessions. */
export const terminated: Fault = {
  durationMs: 500,
  async begin({ database }) {
    const terminate = async (): Promise<void> => {
      await database.pool.query(
        `select pg_terminate_backend(a.pid) from pg_stat_activity a
          where a.datname = current_database() and a.pid <> pg_backend_pid() and random() < 0.5`,
      );
    };
    await terminate();
    return { detail: 'half of the sessions', heal: terminate };
  },
};

/** Somebody holds a table with the strongest lock. */
export const tableLocked: Fault = {
  durationMs: 3_000,
  async begin({ server, database, random }) {
    const table = oneOf(LOCKED_TABLES, random);
    const client = await connectTo(server.connectionString, database);
    await client.query('begin');
    await client.query(`lock table waybill.${table} in access exclusive mode`);
    return { detail: table, heal: () => client.end() };
  },
};

/** A transaction stays open with a snapshot and an id, after having published: it commits at the end. */
export const openTransaction: Fault = {
  durationMs: 8_000,
  async begin({ server, database }) {
    const client = await connectTo(server.connectionString, database);
    await client.query('begin isolation level repeatable read');
    await client.query('select pg_current_xact_id(), count(*) from waybill.outbox');
    return {
      detail: 'a snapshot and an id',
      heal: async () => {
        await client.query('commit').catch(() => {});
        await client.end();
      },
    };
  },
};

/** Others take every connection that the server has left. */
export const exhausted: Fault = {
  durationMs: 3_000,
  async begin({ server, database }) {
    const clients: pg.Client[] = [];
    for (;;) {
      try {
        clients.push(await connectTo(server.connectionString, database));
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
  async begin({ database }) {
    const { rows } = await database.pool.query<{ name: string }>(
      'select quote_ident(current_database()) as name',
    );
    const name = rows[0]?.name ?? '';
    const renew = (): Promise<unknown> =>
      database.pool.query(
        `select pg_terminate_backend(a.pid) from pg_stat_activity a
          where a.datname = current_database() and a.pid <> pg_backend_pid()`,
      );
    await database.pool.query(`alter database ${name} set statement_timeout = '15ms'`);
    await renew();
    return {
      detail: '15 ms',
      heal: async () => {
        await database.pool.query(`alter database ${name} reset statement_timeout`);
        await renew();
      },
    };
  },
};

/** A transaction that has published is prepared and forgotten for a while: its id outlives its session. It commits in the end. */
export const prepared: Fault = {
  durationMs: 8_000,
  async begin({ server, database, random }) {
    const client = await connectTo(server.connectionString, database);
    const n = PREPARED_FROM + Math.floor(random() * 1_000_000);
    const gid = `chaos-${n}`;
    await client.query('begin');
    await client.query("insert into published (n, key, turn) values ($1, 'prepared', $1)", [n]);
    await client.query('select waybill.publish($1, $2, $3)', [
      TOPIC,
      `prepared-${n}`,
      JSON.stringify({ n, key: `prepared-${n}`, turn: 1 }),
    ]);
    await client.query(`prepare transaction '${gid}'`);
    await client.end();
    return {
      detail: gid,
      heal: async () => {
        const again = await connectTo(server.connectionString, database);
        await again.query(`commit prepared '${gid}'`);
        await again.end();
      },
    };
  },
};

/** A connection of its own to the run's database. Its loss is the fault's affair. */
async function connectTo(connectionString: string, database: { readonly pool: pg.Pool }): Promise<pg.Client> {
  const url = new URL(connectionString);
  url.pathname = `/${new URL(database.pool.options.connectionString as string).pathname.slice(1)}`;
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {});
  await client.connect();
  return client;
}
