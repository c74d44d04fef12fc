import { Consumer, resolveSubscription } from '@waybill/consumer';
import { Bell, PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import type pg from 'pg';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const MESSAGES = 4_000;
const KEYS = 200;
/** One in this number of keys fails. */
const FAILING = 10;
/** Messages of a failing key fail up to this number of times. */
const MOST_FAILURES = 5;
const ROUNDS = 9;

/** One run through the backlog. */
interface Run {
  readonly topic: string;
  readonly fails: boolean;
}

interface Bench {
  readonly database: PgDatabase;
  readonly handlers: PgDatabase;
  readonly log: LogEngine;
}

/**
 * Consumes a backlog in order `key` twice, once with every message of one key in ten failing one to five times, and
 * measures how long the other nine keys take. Every message writes one row. The two take turns.
 *
 * @returns the median over the rounds of the other keys' rate with failures, relative to the rate without
 */
export async function measureOtherKeys(connectionString: string, report: Report): Promise<number> {
  const database = new PgDatabase({ connectionString });
  const handlers = new PgDatabase({ connectionString, connectionsMax: 12 });
  const bench = {
    database,
    handlers,
    log: new PostgresLogEngine(database),
  };
  try {
    await database.pool.query('create table handled (topic text, n integer, attempt integer)');
    const ratios: number[] = [];
    await otherKeysMs(bench, { topic: 'warm-up', fails: true });
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = round % 2 === 0 ? [false, true] : [true, false];
      const times = new Map<boolean, number>();
      for (const fails of order)
        times.set(fails, await otherKeysMs(bench, { topic: `orders-${round}-${fails}`, fails }));
      const [without, withFailures] = [times.get(false) ?? 0, times.get(true) ?? 0];
      ratios.push(without / withFailures);
      report(`other keys: ${Math.round(without)} ms without failures, ${Math.round(withFailures)} ms with`);
    }
    return median(ratios);
  } finally {
    await Promise.all([handlers.close(), database.close()]);
  }
}

async function otherKeysMs(bench: Bench, { topic, fails }: Run): Promise<number> {
  const { database, handlers, log } = bench;
  await log.topics.create(topic, { partitions: 4 });
  await publishBacklog(bench, topic);
  const others = MESSAGES - MESSAGES / FAILING;
  let done = 0;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const subscription = resolveSubscription(topic, async ({ transaction, payload, attempt }) => {
    const { n } = payload as { n: number };
    const failing = (n % KEYS) % FAILING === 0;
    const client = transaction as pg.PoolClient;
    await client.query('insert into handled (topic, n, attempt) values ($1, $2, $3)', [topic, n, attempt]);
    if (failing && fails && attempt <= 1 + (n % MOST_FAILURES)) throw new Error('the gateway is busy');
    if (!failing) done += 1;
    if (done === others) end();
  });
  const consumer = new Consumer({
    group: topic,
    subscriptions: [subscription],
    database,
    transactions: new PgTransactionRunner(handlers),
    log,
  });
  const started = performance.now();
  await consumer.start();
  await ended;
  const took = performance.now() - started;
  await consumer.stop();
  return took;
}

async function publishBacklog({ database, log }: Bench, topic: string): Promise<void> {
  const outbox = new Outbox();
  const messages = Array.from({ length: MESSAGES }, (_, n) => ({
    topic,
    key: `key-${n % KEYS}`,
    payload: { n },
  }));
  await database.transaction((connection) => outbox.publishMany(connection, messages));
  const relay = new Relay({ database, log, bell: new Bell() });
  while ((await relay.runOnce()) === 'again');
}
