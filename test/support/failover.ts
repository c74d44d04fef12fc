import { createProgram } from '@waybill/cli';
import { type Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import { type Logger } from '@waybill/kernel';
import type { Relay } from '@waybill/outbox';
import { migrate } from '@waybill/schema';
import { createDatabase, type TestCluster, type TestDatabase, waitUntil } from '@waybill/testing';
import pg from 'pg';
import { messageIdGuardOf } from './message-guard.js';
import type { OwnService } from './own-databases.js';
import { consumerOf, runnerOn } from './places.js';

/** A migrated database of a cluster, under the URL of both of its servers. It is removed together with the cluster. */
export async function databaseOn(cluster: TestCluster, prefix: string): Promise<TestDatabase> {
  const { name } = await createDatabase(cluster.primary, prefix);
  const connectionString = urlOf(cluster, name);
  // A server that does not know the database is asked no further.
  await cluster.untilCaughtUp();
  await migrate({ connectionString });
  return { name, connectionString, drop: async () => {} };
}

/** Where a database of a cluster is, whichever server is its primary. */
function urlOf({ url }: TestCluster, name: string): string {
  return url.replace(/\/[^/?]*\?/, `/${name}?`);
}

/** The error lines of the parts that are given it, oldest first. */
export class Complaints implements Logger {
  readonly lines: string[] = [];
  debug(): void {}
  info(): void {}
  warn(message: string): void {
    this.lines.push(message);
  }
  error(message: string): void {
    this.lines.push(message);
  }

  /** Waits until one of them matches. */
  async about(what: RegExp): Promise<void> {
    await waitUntil(() => this.lines.some((line) => what.test(line)), {
      describe: () => `a complaint about ${what.source}, of: ${this.lines.join('\n')}`,
    });
  }
}

/** A table of effects in a service's database. */
export async function createEffects(service: OwnService): Promise<void> {
  await service.database.pool.query(
    `create table effect (id bigint generated always as identity, n int, log_offset bigint, message_id text)`,
  );
}

/** Numbers in order of their effects. */
export async function effectsIn({ database }: OwnService): Promise<number[]> {
  const { rows } = await database.pool.query<{ n: number }>('select n from effect order by id');
  return rows.map(({ n }) => n);
}

/** Writes the effect of a record; no guard but the fence keeps it from being there twice. */
export const writeEffect: Handler = async ({ transaction, payload, offset, messageId }) => {
  const { n } = payload as { n: number };
  const tx = transaction as pg.PoolClient;
  await tx.query('insert into effect (n, log_offset, message_id) values ($1, $2, $3)', [
    n,
    offset,
    messageId,
  ]);
};

/** The same with the message-id guard, for logs whose records come again at other offsets. */
export const writeOnce: Handler = async (delivery) => {
  const { transaction, messageId, timestamp } = delivery;
  await messageIdGuardOf().once(
    transaction,
    'shop',
    messageId ?? '',
    async () => {
      await writeEffect(delivery);
    },
    { receivedAt: timestamp },
  );
};

/** A started member of a group, `shop` unless given, with short waits. */
export async function consume(
  service: OwnService,
  handler: Handler,
  logger: Logger,
  { concurrency = 'partition', group = 'shop' }: { concurrency?: 'key' | 'partition'; group?: string } = {},
): Promise<Consumer> {
  const { database, log } = service;
  const subscription = resolveSubscription('orders', handler, { concurrency });
  const transactions = runnerOn(database);
  const consumer = consumerOf(
    { group, subscriptions: [subscription], database, transactions, log, logger },
    { leaseMs: 3_000, heartbeatMs: 200, pollMaxMs: 100 },
  );
  await consumer.start();
  return consumer;
}

/** Publishes numbers, each in a transaction of its own, and waits until a running relay has the log's answer for each. */
export async function publishAnswered(
  service: OwnService,
  relay: Relay,
  numbers: readonly number[],
): Promise<void> {
  for (const n of numbers) {
    const before = relay.moved;
    await service.publish([n], 'orders', `key-${n}`);
    await waitUntil(() => relay.moved > before, { describe: `${n} is moved` });
    await relay.drain();
  }
}

/** Runs the `waybill` command for a service and its bus; resolves to what it printed. */
export async function command(
  service: { readonly created: TestDatabase },
  bus: { readonly created: TestDatabase },
  ...words: string[]
): Promise<string> {
  let printed = '';
  const program = createProgram({ write: (text) => (printed += text) });
  const urls = [
    '--database-url',
    service.created.connectionString,
    '--bus-url',
    bus.created.connectionString,
  ];
  const before = process.exitCode;
  try {
    await program.parseAsync([...urls, ...words], { from: 'user' });
  } finally {
    // `doctor` sets that of the process, which is Jest's.
    process.exitCode = before;
  }
  return printed;
}

/** The only value of a query on one server of a cluster, read apart from all pools. */
export async function valueOn<T>(connectionString: string, sql: string): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return rows[0]?.[0] as T;
  } finally {
    await client.end();
  }
}

/** The URL of a database on one server. */
export function onServer(server: { readonly connectionString: string }, { name }: TestDatabase): string {
  const url = new URL(server.connectionString);
  url.pathname = `/${name}`;
  return url.toString();
}
