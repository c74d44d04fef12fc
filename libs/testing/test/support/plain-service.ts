import { Consumer, type Delivery, resolveSubscription, type Subscription } from '@waybill/consumer';
import { Bell, PgDatabase, PgTransactionRunner, silentLogger } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { Outbox, Relay } from '@waybill/outbox';
import {
  type SagaDefinition,
  SagaDefinitions,
  SagaEngine,
  type SagaHttpOptions,
  SagaLocks,
  Sagas,
  SagaLoop,
} from '@waybill/saga';
import { OutboxReplies, replyTopicOf, SagaCommandServer } from '@waybill/saga/internal';
import { TimerService } from '@waybill/timer';
import type pg from 'pg';

/** Options of a test's service. */
export interface PlainServiceOptions {
  readonly group: string;
  /** Its sagas. */
  readonly definitions?: readonly SagaDefinition[];
  readonly http?: SagaHttpOptions;
  /** Its handlers for commands, by topic. */
  readonly serves?: Readonly<Record<string, (delivery: Delivery, client: pg.PoolClient) => Promise<unknown>>>;
  /** Its handlers for messages, by topic. */
  readonly hears?: Readonly<Record<string, (delivery: Delivery, client: pg.PoolClient) => Promise<unknown>>>;
}

/** A service without Nest, composed from Waybill's parts. */
export class PlainService {
  readonly sagas: Sagas;
  readonly participant: SagaCommandServer;
  readonly outbox: Outbox;

  private constructor(
    readonly database: PgDatabase,
    parts: Pick<PlainService, 'sagas' | 'participant' | 'outbox'>,
    private readonly stops: readonly (() => Promise<unknown>)[],
  ) {
    ({ sagas: this.sagas, participant: this.participant, outbox: this.outbox } = parts);
  }

  static async start(connectionString: string, options: PlainServiceOptions): Promise<PlainService> {
    const { group, definitions = [], http = {}, serves = {}, hears = {} } = options;
    const database = new PgDatabase({ connectionString });
    const log = new PostgresLogEngine(database);
    const { topics, signals } = log;
    const bell = new Bell();
    const outbox = new Outbox({ bell });
    const transactions = new PgTransactionRunner(database) as never;
    const relay = new Relay({ database, log, bell });
    const timers = new TimerService({ database, log });
    const known = new SagaDefinitions(definitions);
    const engine = new SagaEngine({ definitions: known, outbox, group, logger: silentLogger });
    const sagas = new Sagas({ engine, schema: 'waybill', outbox, transactions });
    const replies = new OutboxReplies(outbox);
    const participant = new SagaCommandServer({ replies, locks: new SagaLocks(replies) });
    const service = new SagaLoop(
      { engine, definitions: known, transactions, logger: silentLogger },
      { http },
    );
    const handler =
      (work: (delivery: Delivery, client: pg.PoolClient) => Promise<unknown>) => (delivery: Delivery) =>
        participant.serve(delivery, () => work(delivery, delivery.transaction as pg.PoolClient));
    const retry = { immediateAttempts: 0, delayMs: 60_000, maxAttempts: 10 };
    const subscriptions: Subscription[] = [
      ...(definitions.length > 0 ? service.subscriptions() : []),
      ...Object.entries(serves).map(([topic, work]) =>
        resolveSubscription(topic, handler(work), { replies: true, retry }),
      ),
      ...Object.entries(hears).map(([topic, work]) => resolveSubscription(topic, handler(work), { retry })),
    ];
    const names = [...known.topics(), ...subscriptions.map(({ topic }) => topic), replyTopicOf(group)];
    for (const name of new Set(names)) if ((await topics.find(name)) === undefined) await topics.create(name);
    const consumer = new Consumer(
      { group, subscriptions, database, transactions, log },
      { leaseMs: 20_000, heartbeatMs: 200 },
    );
    signals.start();
    relay.service.start();
    timers.start();
    await consumer.start();
    if (definitions.length > 0) service.start();
    const stops = [service, consumer, relay.service, timers, signals].map((part) => () => part.stop());
    return new PlainService(database, { sagas, participant, outbox }, [...stops, () => database.close()]);
  }

  /** Runs work in a transaction. */
  async transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.database.pool.connect();
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } finally {
      client.release(client.getTransactionStatus() !== 'I');
    }
  }

  async close(): Promise<void> {
    for (const stop of this.stops) await stop();
  }
}
