import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Consumer, resolveSubscription } from '@waybill/consumer';
import { Bell, PgDatabase, PgTransactionRunner, silentLogger, type TransactionRunner } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Relay } from '@waybill/outbox';
import { migrate } from '@waybill/schema';
import { createDatabase, ensurePostgres } from '@waybill/testing';
import type { Report } from '../main.js';

/** Time limit for a shape, in milliseconds; a message that has not arrived by then counts as -1. */
const LONGEST_MS = 60_000;
/** How long the CPU time of an idle consumer is measured, in milliseconds. */
const REST_MS = 5_000;

/** The number of topics, and how they are subscribed to. */
interface Shape {
  readonly topics: number;
  readonly partitions: number;
  readonly byPattern: boolean;
}

const SHAPES: readonly Shape[] = [
  { topics: 1, partitions: 256, byPattern: false },
  { topics: 200, partitions: 8, byPattern: false },
  { topics: 2_000, partitions: 4, byPattern: true },
];

/** The results for one shape. */
interface ShapeFigures {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly heapKb: number;
  readonly restCpu: number;
}

/**
 * Results of `npm run bench -- topics`, for each shape: from the start of a consumer to its first message and to the
 * last of one per topic, in milliseconds (-1: not within a minute); its heap, in kilobytes; the share of a
 * processor that it uses when idle.
 */
export type TopicFigures = Readonly<Record<string, number>>;

/**
 * Starts a consumer of many topics and partitions with one message in each topic, each shape on a separate database.
 */
export async function benchTopics(report: Report): Promise<TopicFigures> {
  const server = await ensurePostgres();
  const figures: Record<string, number> = {};
  try {
    for (const shape of SHAPES) {
      const database = await createDatabase(server, 'bench');
      try {
        await migrate({ connectionString: database.connectionString });
        const found = await measureShape(database.connectionString, shape);
        const name = `${shape.topics}x${shape.partitions}`;
        report(
          `${shape.topics} topics of ${shape.partitions} partitions: first message after ${found.firstMs} ms, ` +
            `last after ${found.lastMs} ms, ${found.heapKb} kB, idle ${found.restCpu} of a processor`,
        );
        for (const [what, value] of Object.entries(found)) figures[`${name} ${what}`] = value;
      } finally {
        await database.drop();
      }
    }
    return figures;
  } finally {
    await server.stop();
  }
}

async function measureShape(connectionString: string, shape: Shape): Promise<ShapeFigures> {
  const database = new PgDatabase({ connectionString, connectionsMax: 30 });
  try {
    const names = await prepare(database, shape);
    let started = 0;
    const handledAt: number[] = [];
    const handler = async (): Promise<void> => {
      handledAt.push(performance.now() - started);
    };
    const log = new PostgresLogEngine(database);
    const consumer = new Consumer({
      group: 'bench',
      subscriptions: shape.byPattern ? [] : names.map((name) => resolveSubscription(name, handler)),
      patterns: shape.byPattern
        ? [{ pattern: 'bench.*', subscribe: (topic) => resolveSubscription(topic, handler) }]
        : [],
      database,
      transactions: new PgTransactionRunner(database) as TransactionRunner,
      log,
      logger: silentLogger,
    });
    const before = heapKb();
    started = performance.now();
    await consumer.start();
    while (handledAt.length < names.length && performance.now() - started < LONGEST_MS) await pause(20);
    const rest = process.cpuUsage();
    await pause(REST_MS);
    const { user, system } = process.cpuUsage(rest);
    const found = {
      firstMs: Math.round(handledAt[0] ?? -1),
      lastMs: Math.round(handledAt[names.length - 1] ?? -1),
      heapKb: heapKb() - before,
      restCpu: Math.round((user + system) / REST_MS / 10) / 100,
    };
    await consumer.stop();
    return found;
  } finally {
    await database.close();
  }
}

/** Creates the topics, with one message in each. */
async function prepare(database: PgDatabase, { topics: count, partitions }: Shape): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `bench.${n}`);
  const log = new PostgresLogEngine(database);
  for (let next = 0; next < names.length; next += 20) {
    await Promise.all(names.slice(next, next + 20).map((name) => log.topics.create(name, { partitions })));
  }
  await database.pool.query(
    `insert into waybill.outbox (message_id, topic, key, payload)
     select gen_random_uuid(), t, 'key', convert_to('{"n":1}', 'UTF8') from unnest($1::text[]) t`,
    [names],
  );
  const relay = new Relay({ database, log, bell: new Bell() });
  while ((await relay.runOnce()) === 'again');
  return names;
}

function heapKb(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return Math.round(process.memoryUsage().heapUsed / 1024);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
