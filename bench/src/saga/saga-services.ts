import { Consumer, resolveSubscription, type Subscription } from '@waybill/consumer';
import { Bell, invariant, PgDatabase, PgTransactionRunner, silentLogger, systemClock } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import { SagaDefinitions, SagaEngine, SagaLocks, Sagas, SagaLoop } from '@waybill/saga';
import { OutboxReplies, SagaCommandServer } from '@waybill/saga/internal';
import type pg from 'pg';
import { quantile } from '../statistics.js';
import { orderSaga, SERVED, trip } from './definitions.js';
import { countStatements, type StatementCounts } from './statement-counts.js';

const GROUP = 'orders';
const STARTERS = 8;
const CONCURRENCY = 4;
const BATCH = 16;

/** Sagas of one type, from start to end. */
interface Course {
  readonly type: 'order' | 'trip';
  readonly prefix: string;
}

/**
 * A service with sagas and three participants in one process and one database, each a separate consumer group, with the
 * relay: everything enabled, as services run it.
 */
export class SagaServices {
  readonly counts: StatementCounts;
  readonly #database: PgDatabase;
  readonly #log: LogEngine;
  readonly #order = orderSaga(() => {
    this.#lastSteps += 1;
  });
  readonly #definitions = new SagaDefinitions([this.#order, trip] as never);
  /** Completed deliveries; one whose transaction failed is repeated, and counted again. */
  #lastSteps = 0;
  #courses = 0;
  #sagas: Sagas | undefined;

  private constructor(connectionString: string) {
    this.#database = new PgDatabase({ connectionString, connectionsMax: 40 });
    this.counts = countStatements(this.#database.pool);
    this.#log = new PostgresLogEngine(this.#database);
  }

  static async open(connectionString: string): Promise<SagaServices> {
    const services = new SagaServices(connectionString);
    const names = Object.values(SERVED).flatMap((topics) => Object.keys(topics));
    const undoing = services.#definitions.topics();
    for (const name of new Set([...names, ...undoing, `${GROUP}.saga-replies`]))
      await services.#log.topics.create(name, { partitions: 4 });
    await services.#database.pool.query('create table effect (what text, order_id text)');
    return services;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  /** Runs work while the services run. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { signals } = this.#log;
    const bell = new Bell();
    const outbox = new Outbox({ bell });
    const relay = new Relay({ database: this.#database, log: this.#log, bell });
    const transactions = new PgTransactionRunner(this.#database);
    const definitions = this.#definitions;
    const engine = new SagaEngine({ definitions, outbox, group: GROUP, logger: silentLogger });
    const parts = { engine, definitions, transactions, logger: silentLogger };
    const service = new SagaLoop(parts as never);
    this.#sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions: transactions as never });
    const groups = [
      this.#consumer(GROUP, service.subscriptions()),
      ...Object.entries(SERVED).map(([group, topics]) =>
        this.#consumer(group, this.#participant(outbox, topics)),
      ),
    ];
    signals.start();
    relay.service.start();
    service.start();
    for (const consumer of groups) await consumer.start();
    try {
      return await work();
    } finally {
      await service.stop();
      for (const consumer of groups) await consumer.stop();
      await relay.service.stop();
      await signals.stop();
    }
  }

  #consumer(group: string, subscriptions: Subscription[]): Consumer {
    return new Consumer(
      {
        group,
        subscriptions,
        database: this.#database,
        transactions: new PgTransactionRunner(this.#database),
        log: this.#log,
      },
      { maxConcurrency: CONCURRENCY },
    );
  }

  /** Starts sagas so that a given number is active at a time. @returns how many ended per second */
  async throughput(type: Course['type'], count: number, inFlight: number): Promise<number> {
    const course = this.#course(type);
    const perSaga = type === 'order' ? 1 : Object.keys(SERVED).length;
    const before = this.#lastSteps;
    const began = performance.now();
    let started = 0;
    await Promise.all(
      Array.from({ length: STARTERS }, async () => {
        while (started < count) {
          const ended = (this.#lastSteps - before) / perSaga;
          if (started - ended < inFlight) await this.#start(course, started++);
          else await systemClock.sleep(2);
        }
      }),
    );
    while ((this.#lastSteps - before) / perSaga < count) await systemClock.sleep(2);
    await this.#untilEnded(course, count);
    return (count / (performance.now() - began)) * 1_000;
  }

  /** Starts sagas at predetermined times. @returns quantiles of their durations, in milliseconds */
  async pace(perSecond: number, seconds: number): Promise<{ p50Ms: number; p99Ms: number }> {
    const course = this.#course('order');
    const total = perSecond * seconds;
    const began = performance.now();
    const starts: Promise<void>[] = [];
    for (let n = 0; n < total; n += 1) {
      const waitMs = began + (n * 1_000) / perSecond - performance.now();
      if (waitMs > 0) await systemClock.sleep(waitMs);
      starts.push(this.#start(course, n));
    }
    await Promise.all(starts);
    await this.#untilEnded(course, total);
    const { rows } = await this.#database.pool.query<{ ms: number }>(
      `select (extract(epoch from ended_at - started_at) * 1000)::float8 as ms from waybill.saga_ended
        where saga_type = 'order' and starts_with(saga_key, $1) and state = 4`,
      [course.prefix],
    );
    invariant(rows.length === total, `${rows.length} of ${total} sagas were completed`);
    const durations = rows.map(({ ms }) => ms);
    return { p50Ms: quantile(durations, 0.5), p99Ms: quantile(durations, 0.99) };
  }

  /** The cost of each of `count` sagas: statements, round trips, bytes of the server's write-ahead log. */
  async cost<T>(
    sagas: number,
    work: () => Promise<T>,
  ): Promise<StatementCounts & { walBytes: number; result: T }> {
    const before = { ...this.counts, walBytes: await this.#walBytes() };
    const result = await work();
    return {
      result,
      statements: (this.counts.statements - before.statements) / sagas,
      trips: (this.counts.trips - before.trips) / sagas,
      walBytes: ((await this.#walBytes()) - before.walBytes) / sagas,
    };
  }

  /** The end of the server's write-ahead log. */
  async #walBytes(): Promise<number> {
    const { rows } = await this.#database.pool.query<{ bytes: number }>(
      `select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 as bytes`,
    );
    return rows[0]?.bytes ?? Number.NaN;
  }

  #course(type: Course['type']): Course {
    this.#courses += 1;
    return { type, prefix: `${this.#courses}-` };
  }

  async #start({ type, prefix }: Course, n: number): Promise<void> {
    const orderId = `${prefix}${n}`;
    await this.#database.transaction(async (connection) => {
      const client = connection.client as pg.PoolClient;
      await client.query('insert into effect (what, order_id) values ($1, $2)', ['place', orderId]);
      const data = { orderId, pence: 500 };
      await this.#sagas?.start(client, (type === 'order' ? this.#order : trip) as typeof trip, {
        key: orderId,
        data,
      });
    });
  }

  /** Waits until all sagas of a course have been completed. */
  async #untilEnded({ type, prefix }: Course, count: number): Promise<void> {
    const keys = Array.from({ length: count }, (_, n) => `${prefix}${n}`);
    for (;;) {
      const { rows } = await this.#database.pool.query<{ ended: number }>(
        `select count(*)::int as ended from waybill.saga_ended
          where saga_type = $1 and saga_key = any ($2) and state = 4`,
        [type, keys],
      );
      if (rows[0]?.ended === count) return;
      await systemClock.sleep(20);
    }
  }

  /** A participant whose handlers write one row each. */
  #participant(outbox: Outbox, topics: Readonly<Record<string, object>>): Subscription[] {
    const serving = new SagaCommandServer({
      replies: new OutboxReplies(outbox),
      locks: new SagaLocks(new OutboxReplies(outbox)),
      findTopic: (name) => this.#log.topics.find(name),
    });
    return Object.entries(topics).map(([topic, reply]) =>
      resolveSubscription(
        topic,
        (delivery) =>
          serving.serve(delivery, async () => {
            const { orderId } = delivery.payload as { orderId: string };
            const tx = delivery.transaction as pg.PoolClient;
            await tx.query('insert into effect (what, order_id) values ($1, $2)', [topic, orderId]);
            if (topic.endsWith('.confirm')) this.#lastSteps += 1;
            return reply;
          }),
        { replies: true, transactionBatch: BATCH },
      ),
    );
  }
}
