import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Consumer,
  type ConsumerDependencies,
  type Handler,
  resolveSubscription,
} from '@waybill/consumer';
import { DeadLetters } from '@waybill/dead-letter';
import {
  DatabaseUnavailableError,
  PgDatabase,
  PgTransactionRunner,
  type TransactionRunner,
  type TransactionWork,
} from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

/** Wraps a consumer's runner, and lets the first transaction end as the test chooses. */
class FirstTransaction implements TransactionRunner<pg.PoolClient> {
  readonly kind = 'pg';
  readonly session;
  first = true;

  constructor(
    private readonly runner: PgTransactionRunner,
    private readonly end: <T>(transaction: TransactionWork<pg.PoolClient, T>) => Promise<T>,
  ) {
    this.session = runner.session;
  }

  run<T>(transaction: TransactionWork<pg.PoolClient, T>): Promise<T> {
    if (!this.first) return this.runner.run(transaction);
    this.first = false;
    return this.end(transaction);
  }
}

describe.each(['key', 'partition'] as const)('in order %s', (concurrency) => {
  let fixture: Fixture;
  let handlers: PgDatabase;
  let consumer: Consumer | undefined;
  let other: TestDatabase | undefined;
  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
    handlers = new PgDatabase({ connectionString: fixture.url });
  });
  afterEach(async () => {
    await consumer?.stop();
    await handlers.close();
    await other?.drop();
    other = undefined;
    await fixture.close();
  });

  const consume = async (
    transactions: TransactionRunner,
    handler: Handler,
    maxProcessingMs = 5_000,
    { database, log }: Pick<ConsumerDependencies, 'database' | 'log'> = {
      database: fixture.database,
      log: fixture.engine,
    },
  ): Promise<void> => {
    const retry = { maxAttempts: 2, delayMs: 1 };
    consumer = consumerOf(
      {
        group: 'test',
        subscriptions: [resolveSubscription('orders', handler, { concurrency, retry, maxProcessingMs })],
        database,
        transactions: transactions as TransactionRunner,
        log,
      },
      { leaseMs: 20_000, heartbeatMs: 200 },
    );
    await consumer.start();
  };

  const keep: Handler = ({ transaction, payload, attempt }) =>
    (transaction as pg.PoolClient).query('insert into effect (n, attempt) values ($1, $2)', [
      (payload as { n: number }).n,
      attempt,
    ]);

  const effects = async (): Promise<number[]> =>
    (await handlers.pool.query<{ n: number }>('select n from effect order by id')).rows.map(({ n }) => n);

  const publishBoth = async (): Promise<void> => {
    await fixture.publish(1, 'k');
    await fixture.publish(2, 'k');
    await fixture.moveAll();
  };

  test('that went through: the message is not run again', async () => {
    const runner = runnerOn(handlers);
    await consume(
      new FirstTransaction(runner, async (transaction) => {
        await runner.run(transaction);
        throw new DatabaseUnavailableError('the connection broke while COMMIT was answered');
      }),
      keep,
    );
    await publishBoth();
    await waitUntil(async () => (await effects()).includes(2), { describe: 'the second message is handled' });
    expect(await effects()).toEqual([1, 2]);
  });

  test('that is still running: it fails when it comes late, and the message takes effect once', async () => {
    const runner = runnerOn(handlers);
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let late: Promise<unknown> = Promise.resolve();
    await consume(
      new FirstTransaction(runner, async (transaction) => {
        await new Promise<void>((worked) => {
          late = runner.run({
            ...transaction,
            work: async (open) => {
              const result = await transaction.work(open);
              worked();
              await gate;
              return result;
            },
          });
          late.catch(() => undefined);
        });
        throw new DatabaseUnavailableError('the connection broke before COMMIT was answered');
      }),
      keep,
    );
    await publishBoth();
    await waitUntil(async () => (await effects()).includes(2), { describe: 'the second message is handled' });
    release();
    await expect(late).rejects.toMatchObject({ code: 'FENCED' });
    expect(await effects()).toEqual([1, 2]);
  });

  test('a handler that continues after its transaction has ended writes nothing more', async () => {
    let goOn: () => void = () => undefined;
    const failed = new Promise<void>((resolve) => (goOn = resolve));
    let afterwards: Promise<unknown> | undefined;
    await consume(runnerOn(handlers), (delivery) => {
      if ((delivery.payload as { n: number }).n === 2) return keep(delivery);
      afterwards ??= failed.then(() => keep(delivery));
      afterwards.catch(() => undefined);
      throw new Error('it fails while a part of it goes on');
    });
    await publishBoth();
    await waitUntil(async () => (await effects()).includes(2), { describe: 'the second message is handled' });
    goOn();
    await expect(afterwards).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    expect(await effects()).toEqual([2]);
    expect(await fixture.deadLetters.list()).toHaveLength(1);
  });

  test('a handler that takes too long is aborted and rolled back, and its message becomes a dead letter', async () => {
    const aborted: boolean[] = [];
    await consume(
      runnerOn(handlers),
      async (delivery) => {
        await keep(delivery);
        if ((delivery.payload as { n: number }).n === 2) return;
        await new Promise<void>((resolve) =>
          delivery.signal.addEventListener('abort', () => resolve(), { once: true }),
        );
        aborted.push(true);
      },
      150,
    );
    await publishBoth();
    await waitUntil(async () => (await effects()).includes(2), { describe: 'the second message is handled' });
    expect(await effects()).toEqual([2]);
    expect(aborted).toEqual([true, true]);
    const [letter] = await fixture.deadLetters.list();
    expect(letter).toMatchObject({ errorClass: 'HandlerTimedOutError', attempts: 2 });
  });

  const swallow: Handler = async (delivery) => {
    await keep(delivery);
    if ((delivery.payload as { n: number }).n === 2) return;
    await (delivery.transaction as pg.PoolClient).query('select 1 / 0').catch(() => undefined);
  };

  test('a handler that swallows a failed statement has not succeeded', async () => {
    await consume(runnerOn(handlers), swallow);
    await publishBoth();
    await waitUntil(async () => (await effects()).includes(2), { describe: 'the second message is handled' });
    expect(await effects()).toEqual([2]);
    expect(await fixture.deadLetters.list()).toHaveLength(1);
  });

  test('a handler that swallows a failed statement has not succeeded, with the log in another database', async () => {
    other = await testDatabase('other');
    await migrate({ connectionString: other.connectionString, part: 'service' });
    const service = new PgDatabase(other);
    try {
      await service.pool.query(
        'create table effect (id bigint generated always as identity, n int, attempt int)',
      );
      await publishBoth();
      const log = new PostgresLogEngine(fixture.bus, { service });
      await consume(runnerOn(service), swallow, 5_000, { database: service, log });
      await waitUntil(
        async () => (await service.pool.query('select from effect where n = 2')).rowCount === 1,
        {
          describe: 'the second message is handled there',
        },
      );
      expect((await service.pool.query('select n from effect')).rows).toEqual([{ n: 2 }]);
      expect(await new DeadLetters(service, log).list()).toHaveLength(1);
      await consumer?.stop();
    } finally {
      await service.close();
    }
  });
});
