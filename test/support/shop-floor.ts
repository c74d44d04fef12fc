import {
  type BatchHandler,
  type BatchSubscriptionOptions,
  type Consumer,
  type ConsumerOptions,
  type Handler,
  resolveBatchSubscription,
  resolveSubscription,
  type Subscription,
  type SubscriptionOptions,
} from '@waybill/consumer';
import { type Logger, PgDatabase, silentLogger } from '@waybill/kernel';
import type pg from 'pg';
import type { Fixture } from './fixture.js';
import { consumerOf, runnerOn } from './places.js';

/** What a message of these tests asks of its handler. */
export interface Order {
  readonly n: number;
  /** How many attempts throw. */
  readonly fail?: number;
}

/**
 * Consumers of a fixture's topic in this process, each with its own connections; their handlers record what they see.
 */
export class ShopFloor {
  readonly #open: { consumer: Consumer; handlers: PgDatabase }[] = [];

  constructor(private readonly fixture: Fixture) {}

  /** Starts a consumer of the group `test`. */
  consume(
    handler: Handler,
    subscription: SubscriptionOptions = {},
    options: ConsumerOptions = {},
    logger: Logger = silentLogger,
  ): Promise<Consumer> {
    return this.#consume(resolveSubscription('orders', handler, subscription), options, logger);
  }

  /** The same, with a batch handler. */
  consumeBatches(handler: BatchHandler, subscription: BatchSubscriptionOptions = {}): Promise<Consumer> {
    return this.#consume(resolveBatchSubscription('orders', handler, subscription));
  }

  async #consume(
    subscription: Subscription,
    options: ConsumerOptions = {},
    logger: Logger = silentLogger,
  ): Promise<Consumer> {
    const { fixture } = this;
    const handlers = new PgDatabase({ connectionString: fixture.url, connectionsMax: 12 });
    const consumer = consumerOf(
      {
        group: 'test',
        subscriptions: [subscription],
        database: fixture.database,
        transactions: runnerOn(handlers),
        log: fixture.engine,
        logger,
      },
      { leaseMs: 20_000, heartbeatMs: 200, ...options },
    );
    this.#open.push({ consumer, handlers });
    await consumer.start();
    return consumer;
  }

  /** Writes the row that shows that the message took effect. */
  readonly keep: Handler = ({ transaction, payload, attempt, key }) =>
    (transaction as pg.PoolClient).query('insert into effect (n, key, attempt) values ($1, $2, $3)', [
      (payload as Order).n,
      key,
      attempt,
    ]);

  /** Records the message after failing as often as it asks. */
  readonly keepOrFail: Handler = async (delivery) => {
    await this.keep(delivery);
    const { n, fail = 0 } = delivery.payload as Order;
    if (delivery.attempt <= fail) throw new Error(`attempt ${delivery.attempt} of ${n} fails`);
  };

  /** The numbers of the messages that took effect, in that order; only those of a key, if given. */
  async effects(key?: string): Promise<number[]> {
    const { rows } = await this.fixture.database.pool.query<{ n: number }>(
      'select n from effect where $1::text is null or key = $1 order by id',
      [key ?? null],
    );
    return rows.map(({ n }) => n);
  }

  /** Publishes orders in one transaction, and moves them to the log. */
  async publish(
    orders: readonly (Order & { readonly key?: string | null; readonly partition?: number })[],
  ): Promise<void> {
    const { fixture } = this;
    await fixture.transaction((client) =>
      fixture.outbox.publishMany(
        client,
        orders.map(({ key = 'key', partition, ...payload }) => ({
          topic: 'orders',
          key,
          payload,
          ...(partition === undefined ? {} : { partition }),
        })),
      ),
    );
    await fixture.moveAll();
  }

  /** Stops every consumer. */
  async close(): Promise<void> {
    for (const { consumer, handlers } of this.#open) {
      await consumer.stop();
      await handlers.close();
    }
  }
}
