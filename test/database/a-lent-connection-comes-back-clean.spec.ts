import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Handler, resolveSubscription } from '@waybill/consumer';
import {
  HandlerAbandonedError,
  PgDatabase,
  type PgTransactionRunner,
  type TransactionRunner,
} from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';

let fixture: Fixture;
let proxy: TcpProxy;
let handlers: PgDatabase;
let runner: PgTransactionRunner;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  proxy = await TcpProxy.start(fixture.url);
  // One connection, so that anything left on it affects the next.
  handlers = new PgDatabase({ connectionString: proxy.url, connectionsMax: 1 });
  runner = runnerOn(handlers);
});
afterEach(async () => {
  proxy.letAnswer();
  await handlers.close();
  await proxy.close();
  await fixture.close();
});

const effects = async (): Promise<number[]> =>
  (await fixture.database.pool.query<{ n: number }>('select n from effect order by n')).rows.map(
    ({ n }) => n,
  );
const insert = (tx: pg.PoolClient, n: number) => tx.query('insert into effect (n) values ($1)', [n]);
const run = <T>(work: (tx: pg.PoolClient) => Promise<T>, timeoutMs = 10_000): Promise<T> =>
  runner.run({ timeoutMs, work: ({ handle }) => work(handle) });

describe('work that is abandoned', () => {
  test.each([
    ['a promise', (tx: pg.PoolClient) => insert(tx, 1)],
    [
      'a callback',
      (tx: pg.PoolClient) =>
        new Promise((resolve) => tx.query('insert into effect (n) values (1)', (error) => resolve(error))),
    ],
    [
      'a hand-made query object',
      (tx: pg.PoolClient) => {
        const query = new pg.Query('insert into effect (n) values (1)', () => {});
        tx.query(query);
        return new Promise((resolve) => query.on('error', resolve).on('end', resolve));
      },
    ],
  ])('while BEGIN has no response sends nothing more, by %s', async (_, send) => {
    await handlers.pool.query('select 1');
    proxy.stopAnswers();
    await expect(run(send, 100)).rejects.toThrow(HandlerAbandonedError);
    proxy.letAnswer();
    await run((tx) => insert(tx, 2));
    await run((tx) => insert(tx, 3));
    expect(await effects()).toEqual([2, 3]);
  });

  test('leaves bystanders alone when its statements come between theirs', async () => {
    let late: () => void = () => undefined;
    const goOn = new Promise<void>((resolve) => (late = resolve));
    let ended: Promise<unknown> | undefined;
    const abandoned = run(async (tx) => {
      await insert(tx, 1);
      ended = goOn.then(() => insert(tx, 2));
      ended.catch(() => {});
      await ended;
    }, 100);
    await expect(abandoned).rejects.toThrow(HandlerAbandonedError);
    await run(async (tx) => {
      await insert(tx, 3);
      late();
      await expect(ended).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    });
    expect(await effects()).toEqual([3]);
  });
});

test('a statement that is not awaited is part of the transaction, and leaves no connection waiting for a response', async () => {
  for (const n of upTo(20)) await run(async (tx) => void insert(tx, n));
  expect(await effects()).toEqual(upTo(20));
});

describe('the lent client', () => {
  test.each(['release', 'end', 'connect', 'cancel', 'ref'] as const)('refuses %s()', async (method) => {
    let refusal: unknown;
    await run(async (tx) => {
      await insert(tx, 1);
      try {
        (tx as unknown as Record<string, (destroy?: boolean) => void>)[method]?.(true);
      } catch (error) {
        refusal = error;
      }
    });
    expect(refusal).toMatchObject({ code: 'HANDLE_LENT' });
    expect(await effects()).toEqual([1]);
  });

  test.each(['commit', 'END', ' rollback', 'abort', `prepare transaction 'x'`])(
    'refuses %s',
    async (text) => {
      await expect(run((tx) => tx.query(text))).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
      await run(async (tx) => {
        await tx.query('savepoint a');
        await tx.query('rollback to savepoint a');
        await insert(tx, 1);
      });
      expect(await effects()).toEqual([1]);
    },
  );

  test('is unchanged for the next borrower', async () => {
    await run(async (tx) => {
      expect(() => Object.assign(tx, { query: () => Promise.resolve() })).toThrow(/lent/);
      tx.on('notice', () => {});
    });
    const client = await handlers.pool.connect();
    expect(client.listenerCount('notice')).toBe(0);
    client.release();
  });

  test('lets no handler that releases it touch a bystander: each takes effect once', async () => {
    const wide = new PgDatabase({ connectionString: fixture.url, connectionsMax: 3 });
    const handler: Handler = async ({ transaction, payload }) => {
      const tx = transaction as pg.PoolClient;
      const { n } = payload as { n: number };
      await insert(tx, n);
      if (n % 5 === 0) tx.release();
      await tx.query('select pg_sleep(0.001)');
    };
    const consumer = consumerOf(
      {
        group: 'test',
        subscriptions: [resolveSubscription('orders', handler, { retry: { maxAttempts: 1 } })],
        database: fixture.database,
        transactions: runnerOn(wide) as TransactionRunner,
        log: fixture.engine,
      },
      { leaseMs: 20_000, heartbeatMs: 200 },
    );
    for (const n of upTo(30)) await fixture.publish(n, `key-${n}`);
    await fixture.moveAll();
    await consumer.start();
    try {
      await waitUntil(async () => (await fixture.deadLetters.list()).length === 6, {
        describe: () => 'a dead letter for each handler that releases',
      });
      await waitUntil(async () => (await effects()).length >= 24, {
        describe: () => 'the others take effect',
      });
      expect(await effects()).toEqual(upTo(30).filter((n) => n % 5 !== 0));
    } finally {
      await consumer.stop();
      await wide.close();
    }
  });
});

describe('what a handler has set in its session', () => {
  const state = async (): Promise<Record<string, unknown>> => {
    const { rows } = await handlers.pool.query<Record<string, unknown>>(
      `select current_user = session_user as own, current_setting('search_path') as path,
              coalesce(current_setting('app.tenant', true), '') as tenant, current_setting('default_transaction_isolation') as level,
              current_setting('timezone') as zone, to_regclass('pg_temp.mine') is not null as temp,
              (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
              (select count(*)::int from pg_listening_channels()) as channels, (select count(*)::int from pg_cursors) as cursors,
              pg_backend_pid() as pid`,
    );
    return rows[0] ?? {};
  };
  const SETTINGS = [
    `set search_path to pg_catalog`,
    `set role pg_read_all_data`,
    `set app.tenant to 'a'`,
    `select set_config('timezone', 'Asia/Tokyo', false)`,
    `set default_transaction_isolation to serializable`,
    `select pg_advisory_lock(42)`,
    `listen somebody`,
    `create temporary table mine (n int)`,
    `declare kept cursor with hold for select 1`,
  ];

  test.each(['commits', 'fails'])('is gone from the same connection when it %s', async (how) => {
    const before = await state();
    for (const setting of SETTINGS) {
      await run(async (tx) => {
        await tx.query(setting);
        if (how === 'fails') throw new Error('on purpose');
      }).catch(() => {});
      expect({ setting, ...(await state()) }).toEqual({ setting, ...before });
    }
    await run((tx) => tx.query('select 1'));
    expect(await state()).toEqual(before);
  });

  test('is gone before the next message that shares its transaction, and does not affect fence and marks', async () => {
    const login = `tenant_${process.pid}_${Date.now()}`;
    await fixture.database.pool.query(`create role ${login}`);
    await fixture.database.pool.query(`grant usage on schema waybill to ${login}`);
    await fixture.database.pool.query(`grant insert, select on effect to ${login}`);
    const wide = new PgDatabase({ connectionString: fixture.url, connectionsMax: 3 });
    const seen: unknown[] = [];
    const errors: string[] = [];
    const handler: Handler = async ({ transaction, payload }) => {
      const tx = transaction as pg.PoolClient;
      const { n } = payload as { n: number };
      const { rows } = await tx.query(
        `select current_user = session_user as own, coalesce(current_setting('app.tenant', true), '') as tenant`,
      );
      seen.push(rows[0]);
      await tx.query(`set local role ${login}`);
      await tx.query(`select set_config('app.tenant', $1, true)`, [`t${n}`]);
      await tx.query('set local search_path to waybill');
      await insert(tx, n);
    };
    const consumer = consumerOf(
      {
        group: 'test',
        subscriptions: [
          resolveSubscription('orders', handler, { transactionBatch: 10, concurrency: 'partition' }),
        ],
        database: fixture.database,
        transactions: runnerOn(wide) as TransactionRunner,
        log: fixture.engine,
        onAttemptOutcome: ({ error }) => errors.push(String(error)),
      },
      { leaseMs: 20_000, heartbeatMs: 200 },
    );
    for (const n of upTo(10)) await fixture.publish(n);
    await fixture.moveAll();
    await consumer.start();
    try {
      await waitUntil(async () => (await effects()).length === 10, {
        describe: () => `ten effects, not ${JSON.stringify(errors)}`,
      });
      expect(errors).toEqual([]);
      expect(seen).toEqual(upTo(10).map(() => ({ own: true, tenant: '' })));
      expect(await fixture.deadLetters.list()).toEqual([]);
    } finally {
      await consumer.stop();
      await wide.close();
      await fixture.database.pool.query(`drop owned by ${login}`);
      await fixture.database.pool.query(`drop role ${login}`);
    }
  });
});
