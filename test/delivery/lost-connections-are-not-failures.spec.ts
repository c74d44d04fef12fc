import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Consumer,
  type ConsumerDependencies,
  type RetryPolicyOptions,
  type Handler,
  resolveSubscription,
} from '@waybill/consumer';
import { PgDatabase, type TransactionRunner } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { consumerOf, runnerOn } from '../support/places.js';

const FAST = { leaseMs: 20_000, heartbeatMs: 200, pollMaxMs: 100 };

describe.each(['key', 'partition'] as const)('in order %s', (concurrency) => {
  let fixture: Fixture;
  let handlers: PgDatabase;
  let consumer: Consumer;
  let calls: Map<number, number>;
  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
    handlers = new PgDatabase({ connectionString: fixture.url });
    calls = new Map();
  });
  afterEach(async () => {
    await consumer.stop();
    await handlers.close();
    await fixture.close();
  });

  const dependencies = (odd: (tx: pg.PoolClient, n: number) => Promise<unknown>): ConsumerDependencies => {
    const handler: Handler = async ({ transaction, payload }) => {
      const { n } = payload as { n: number };
      const tx = transaction as pg.PoolClient;
      calls.set(n, (calls.get(n) ?? 0) + 1);
      await tx.query('insert into effect (n) values ($1)', [n]);
      await odd(tx, n);
    };
    const retry = { maxAttempts: 3, delayMs: 1 };
    return {
      group: 'test',
      subscriptions: [resolveSubscription('orders', handler, { concurrency, retry, transactionBatch: 3 })],
      database: fixture.database,
      transactions: runnerOn(handlers) as TransactionRunner,
      log: fixture.engine,
    };
  };
  const subscriptions = (
    { subscriptions: [first] }: ConsumerDependencies,
    retry: RetryPolicyOptions,
  ): ConsumerDependencies['subscriptions'] => [
    resolveSubscription('orders', first?.handling.handler as Handler, { concurrency, retry }),
  ];
  /** Handles six messages of different keys; the test decides how one of them fails. */
  const consume = async (odd: (tx: pg.PoolClient, n: number) => Promise<unknown>): Promise<void> => {
    consumer = consumerOf(
      dependencies(async (tx, n) => {
        if (n === 2) await odd(tx, n);
      }),
      FAST,
    );
    for (const n of upTo(6)) await fixture.publish(n, `key-${n}`);
    await fixture.moveAll();
    await consumer.start();
  };
  const effects = async (): Promise<number[]> =>
    (await fixture.database.pool.query<{ n: number }>('select n from effect order by n')).rows.map(
      ({ n }) => n,
    );
  const others = async (): Promise<void> => {
    await waitUntil(async () => (await effects()).filter((n) => n !== 2).length >= 5, {
      describe: 'the other messages take effect',
      timeoutMs: 40_000,
    });
    expect((await effects()).filter((n) => n !== 2)).toEqual([0, 1, 3, 4, 5]);
  };
  const letter = async (): Promise<Record<string, unknown>> => {
    await waitUntil(async () => (await fixture.deadLetters.list()).length > 0, {
      describe: 'the message is a dead letter',
      timeoutMs: 40_000,
    });
    const letters = await fixture.deadLetters.list();
    expect(letters).toHaveLength(1);
    return { ...letters[0] };
  };

  test.each([
    ['a text', () => new Error('Connection timeout')],
    ['a text of pg', () => new Error('Connection terminated unexpectedly')],
    ['a code of a server', () => Object.assign(new Error('no disk'), { code: '53100' })],
    ['a code of a conflict', () => Object.assign(new Error('conflict'), { code: '40001' })],
    [
      'a code of the network',
      () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    ],
  ])('an error of the handler counts as a failure despite %s', async (_, error) => {
    await consume(() => Promise.reject(error()));
    expect(await letter()).toMatchObject({ reason: 'attempts-spent', attempts: 3 });
    await others();
    // In a transaction of several messages it may have run once more before it ran alone.
    expect(calls.get(2)).toBeLessThanOrEqual(4);
  });

  test('a message that loses its connection in every attempt becomes a dead letter, and stops no other', async () => {
    await consume((tx) => tx.query('select pg_terminate_backend(pg_backend_pid())'));
    expect(await letter()).toMatchObject({ reason: 'connection-lost' });
    await others();
    expect(await effects()).not.toContain(2);
  });

  test('a message whose COMMIT loses its connection every time becomes a dead letter, and stops no other', async () => {
    await fixture.database.pool.query(`
      create function end_session() returns trigger language plpgsql as $$
      begin
        perform pg_terminate_backend(pg_backend_pid());
        return null;
      end $$;
      create constraint trigger ends_session after insert on effect deferrable initially deferred
        for each row when (new.n = 2) execute function end_session()`);
    await consume(() => Promise.resolve());
    expect(await letter()).toMatchObject({ reason: 'connection-lost' });
    await others();
    expect(await effects()).not.toContain(2);
  });

  test('a message that loses its connection once takes effect once, and is not a dead letter', async () => {
    let lost = false;
    await consume(async (tx) => {
      if (lost) return;
      lost = true;
      await tx.query('select pg_terminate_backend(pg_backend_pid())');
    });
    await waitUntil(async () => (await effects()).length >= 6, { describe: 'all take effect' });
    expect(await effects()).toEqual(upTo(6));
    expect(await fixture.deadLetters.list()).toEqual([]);
  });

  test('a message that was in flight in a crash and then loses its connection is not charged with the crash', async () => {
    const crashed = consumerOf(
      dependencies(() => new Promise(() => {})),
      { ...FAST, drainMs: 0 },
    );
    for (const n of upTo(3)) await fixture.publish(n, `key-${n}`);
    await fixture.moveAll();
    await crashed.start();
    await waitUntil(() => calls.size > 0, { describe: 'they are in flight' });
    // It stops before its handlers end, and so leaves their in-flight marker, as a crash does.
    await crashed.stop();
    calls.clear();
    consumer = consumerOf(
      dependencies(async (tx, n) => {
        if (n === 1 && (calls.get(n) ?? 0) <= 2)
          await tx.query('select pg_terminate_backend(pg_backend_pid())');
      }),
      { ...FAST, maxCrashes: 2 },
    );
    await consumer.start();
    await waitUntil(async () => (await effects()).length >= 3, { describe: 'all take effect' });
    expect(await fixture.deadLetters.list()).toEqual([]);
    expect(calls.get(1)).toBe(3);
  });

  test('a parked message that was in flight in a crash is charged, even if a lost connection comes first', async () => {
    const patient = dependencies((_, n) =>
      n === 2 ? Promise.reject(new Error('later')) : Promise.resolve(),
    );
    const retry = { immediateAttempts: 0, delayMs: 4_000, jitterPercent: 0 };
    const before = consumerOf({ ...patient, subscriptions: subscriptions(patient, retry) }, FAST);
    consumer = before;
    // In order `partition` messages are retried in place.
    if (concurrency === 'partition') return;
    await fixture.publish(2, 'key-2');
    await fixture.moveAll();
    await before.start();
    const parked = (what: string): Promise<number> =>
      fixture.value(`select coalesce(sum(${what}), 0)::int from waybill.parked_message`);
    await waitUntil(async () => (await parked('1')) === 1, { describe: 'it is parked' });
    await before.stop();
    await fixture.database.pool.query('update waybill.parked_message set in_flight = true');
    let lost = false;
    let crashes: number | undefined;
    consumer = consumerOf(
      dependencies(async (tx, n) => {
        if (n === 2) crashes = await parked('crashes');
        else if (!lost) {
          lost = true;
          await tx.query('select pg_terminate_backend(pg_backend_pid())');
        }
      }),
      FAST,
    );
    await fixture.publish(3, 'key-3');
    await fixture.moveAll();
    await consumer.start();
    await waitUntil(() => crashes !== undefined, { describe: 'it runs' });
    expect(lost).toBe(true);
    expect(crashes).toBe(1);
  });

  test.each(['53100', '53200', '58030', '25006'])(
    'while the server says %s, no message has failed',
    async (code) => {
      await fixture.database.pool.query(`
        create table trouble (code text);
        insert into trouble values ('${code}');
        create function meet_trouble() returns trigger language plpgsql as $$
        declare found_code text := (select code from trouble);
        begin
          if found_code is not null then raise exception 'trouble' using errcode = found_code; end if;
          return new;
        end $$;
        create trigger meet before insert on effect for each row execute function meet_trouble()`);
      await consume(() => Promise.resolve());
      await waitUntil(() => [...calls.values()].some((count) => count >= 5), {
        describe: 'it was tried more often than attempts would allow',
      });
      await fixture.database.pool.query('delete from trouble');
      await waitUntil(async () => (await effects()).length >= 6, { describe: 'all take effect' });
      expect(await effects()).toEqual(upTo(6));
      expect(await fixture.deadLetters.list()).toEqual([]);
    },
  );
});
