import { Consumer, resolveSubscription } from '@waybill/consumer';
import { MessageIdGuard } from '@waybill/guard';
import { Bell, invariant, PgDatabase, PgTransactionRunner, type TransactionRunner } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { joinTransaction, Outbox, Relay } from '@waybill/outbox';
import type pg from 'pg';
import type { Report } from '../main.js';
import { median } from '../statistics.js';

const MESSAGES = 2_000;
/** The first messages are not counted: meanwhile the process joins the group and opens its partitions. */
const OPENING = 200;
const KEYS = 200;
const CONCURRENCY = 8;
const ROUNDS = 3;

/** How to handle a backlog. */
type Way = 'none' | 'guarded' | 'message-id';

interface Bench {
  readonly database: PgDatabase;
  readonly log: LogEngine;
}

/** Rates of handling with a guard, each relative to the rate without; the medians over the rounds. */
export interface HandlingRatios {
  /** By entry: the mark and the fence. */
  readonly guarded: number;
  readonly messageId: number;
}

/**
 * Handles a backlog of 2,000 messages with a consumer, 8 at a time and each writing one row in a separate transaction:
 * without any guard (the same consumer and the same transactions, but without a record in them that a message is done:
 * the position is stored now and then in a separate transaction, so that a crash repeats later messages), guarded by
 * the entry as always, and with the message-id guard in addition. The three take turns.
 */
export async function measureHandling(url: string, report: Report): Promise<HandlingRatios> {
  const database = new PgDatabase({ connectionString: url });
  const bench = { database, log: new PostgresLogEngine(database) };
  try {
    await database.pool.query('create table handled (topic text, n integer)');
    const ratios: Record<Exclude<Way, 'none'>, number[]> = { guarded: [], 'message-id': [] };
    const ways: readonly Way[] = ['none', 'guarded', 'message-id'];
    for (const way of ways) await handledPerSecond(bench, `warm-up-${way}`, way);
    for (let round = 0; round < ROUNDS; round += 1) {
      const rates = new Map<Way, number>();
      for (const way of [...ways.slice(round % 3), ...ways.slice(0, round % 3)])
        rates.set(way, await handledPerSecond(bench, `orders-${round}-${way}`, way));
      const none = rates.get('none') ?? Number.NaN;
      ratios.guarded.push((rates.get('guarded') ?? Number.NaN) / none);
      ratios['message-id'].push((rates.get('message-id') ?? Number.NaN) / none);
      const rounded = ways.map((way) => `${way} ${Math.round(rates.get(way) ?? 0)}/s`);
      report(`handling: ${rounded.join(', ')}`);
    }
    return { guarded: median(ratios.guarded), messageId: median(ratios['message-id']) };
  } finally {
    await database.close();
  }
}

async function handledPerSecond(bench: Bench, topic: string, way: Way): Promise<number> {
  const { database, log } = bench;
  await log.topics.create(topic, { partitions: 4 });
  await publishBacklog(bench, topic);
  const guard = new MessageIdGuard({ join: (tx) => joinTransaction(tx, 'waybill', true).session });
  const write = (tx: pg.PoolClient, n: number): Promise<unknown> =>
    tx.query('insert into handled (topic, n) values ($1, $2)', [topic, n]);
  let done = 0;
  let started = 0;
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const subscription = resolveSubscription(topic, async ({ transaction, payload, messageId, timestamp }) => {
    const tx = transaction as pg.PoolClient;
    const work = (): Promise<unknown> => write(tx, (payload as { n: number }).n);
    if (way === 'message-id')
      await guard.once(tx, topic, messageId ?? '', () => work().then(() => null), { receivedAt: timestamp });
    else await work();
    done += 1;
    if (done === OPENING) started = performance.now();
    if (done === MESSAGES) end();
  });
  const guarding = new PgTransactionRunner(database);
  const transactions = way === 'none' ? unguarded(guarding) : guarding;
  const consumer = new Consumer(
    { group: topic, subscriptions: [subscription], database, transactions, log },
    { maxConcurrency: CONCURRENCY },
  );
  await consumer.start();
  await ended;
  const perSecond = ((MESSAGES - OPENING) / (performance.now() - started)) * 1_000;
  // The last commits are part of the time.
  await consumer.stop();
  const { rows } = await database.pool.query<{ count: number }>(
    'select count(*)::int as count from handled where topic = $1',
    [topic],
  );
  invariant(rows[0]?.count === MESSAGES, `${rows[0]?.count} messages of ${topic} were handled`);
  return perSecond;
}

/** Omits the record that a message is done, in and outside the handler's transaction. */
function unguarded(runner: PgTransactionRunner): TransactionRunner {
  return {
    kind: runner.kind,
    session: runner.session,
    run: ({ work, timeoutMs }) => runner.run({ work, timeoutMs }),
  };
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
