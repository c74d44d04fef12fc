import { Consumer, resolveSubscription } from '@waybill/consumer';
import { Bell, PgDatabase, PgTransactionRunner, systemClock } from '@waybill/kernel';
import { Outbox, Relay } from '@waybill/outbox';
import pg from 'pg';
import type { Report } from '../main.js';
import { Connected, type Place } from '../place.js';
import { quantile } from '../statistics.js';

const PER_SECOND = 500;
const SECONDS = 12;
const WARM_UP_SECONDS = 3;
const PUBLISHERS = 8;

/** Results of {@link measureLatency}, in milliseconds. */
export interface LatencyFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * Publishes 500 messages per second, each in a separate transaction, at predetermined times, and measures the
 * time from the return of COMMIT to the call of the handler. Relay and consumer run in the same process.
 */
export async function measureLatency(place: Place, report: Report): Promise<LatencyFigures> {
  const connected = new Connected(place);
  const { database, log } = connected;
  const handlers = new PgDatabase({ connectionString: place.service });
  const publishers = new pg.Pool({ connectionString: place.service, max: PUBLISHERS });
  // The database is dropped when the measurement is over: a connection that is being closed may receive an error.
  publishers.on('error', () => undefined);
  const { topics, signals } = log;
  await topics.create('orders.placed', { partitions: 4 });
  const bell = new Bell();
  const relay = new Relay({ database, log, bell });
  const committedAt = new Map<number, number>();
  const handledAt = new Map<number, number>();
  const subscription = resolveSubscription('orders.placed', ({ payload }) => {
    handledAt.set((payload as { n: number }).n, performance.now());
    return Promise.resolve();
  });
  const consumer = new Consumer({
    group: 'bench',
    subscriptions: [subscription],
    database,
    transactions: new PgTransactionRunner(handlers),
    log,
  });
  try {
    signals.start();
    relay.service.start();
    await consumer.start();
    const outbox = new Outbox({ bell });
    const total = PER_SECOND * SECONDS;
    await publishAll(publishers, outbox, total, committedAt);
    while (handledAt.size < total) await systemClock.sleep(5);
    const counted = [...committedAt].filter(([n]) => n >= PER_SECOND * WARM_UP_SECONDS);
    const latencies = counted.map(([n, at]) => Math.max(0, (handledAt.get(n) as number) - at));
    const figures = { p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
    report(`latency: p50 ${figures.p50Ms.toFixed(1)} ms, p99 ${figures.p99Ms.toFixed(1)} ms`);
    return figures;
  } finally {
    await consumer.stop();
    await relay.service.stop();
    await signals.stop();
    await Promise.all([publishers.end(), handlers.close()]);
    await connected.close();
  }
}

async function publishAll(
  publishers: pg.Pool,
  outbox: Outbox,
  total: number,
  committedAt: Map<number, number>,
): Promise<void> {
  const started = performance.now();
  let next = 0;
  const publisher = async (): Promise<void> => {
    const client = await publishers.connect();
    try {
      while (next < total) {
        const n = next;
        next += 1;
        const due = started + (n * 1000) / PER_SECOND;
        const waitMs = due - performance.now();
        if (waitMs > 0) await systemClock.sleep(waitMs);
        await client.query('begin');
        await outbox.publish(client, { topic: 'orders.placed', key: `order-${n % 500}`, payload: { n } });
        await client.query('commit');
        committedAt.set(n, performance.now());
      }
    } finally {
      client.release();
    }
  };
  await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
}
