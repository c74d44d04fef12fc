import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PgDatabase, PgTransactionRunner } from '@waybill/kernel';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';

let fixture: Fixture;
let handlers: PgDatabase;
let runner: PgTransactionRunner;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  // One session, so that what is left on it meets the next transaction; its prepared statements are what goes wrong.
  handlers = new PgDatabase({ connectionString: fixture.directUrl, connectionsMax: 1 });
  runner = new PgTransactionRunner(handlers);
});
afterEach(async () => {
  await handlers.close();
  await fixture.close();
});

const effects = async (): Promise<number[]> =>
  (await fixture.database.pool.query<{ n: number }>('select n from effect order by n')).rows.map(
    ({ n }) => n,
  );
const insert = (tx: pg.PoolClient, n: number) => tx.query('insert into effect (n) values ($1)', [n]);
const run = <T>(work: (tx: pg.PoolClient) => Promise<T>): Promise<T> =>
  runner.run({ timeoutMs: 10_000, work: ({ handle }) => work(handle) });

/** Drops the statement that the driver believes to be prepared: the next BEGIN on this connection is refused. */
const forgetPrepared = () => run((tx) => tx.query('deallocate all'));

/** A query by callback, as code of the driver's older style sends it; resolves to its error. */
const byCallback = (tx: pg.PoolClient, n: number) =>
  new Promise((resolve) => tx.query(`insert into effect (n) values (${n})`, (error) => resolve(error)));

/** A query object of the caller's; resolves to its error. */
const byObject = (tx: pg.PoolClient, n: number) =>
  new Promise((resolve) => {
    tx.query(new pg.Query(`insert into effect (n) values (${n})`, (error?: Error) => resolve(error)));
  });

describe('when BEGIN was refused', () => {
  test('no statement of the work is executed, and its error says why', async () => {
    await forgetPrepared();
    let seen: unknown;
    const first = run(async (tx) => {
      seen = await insert(tx, 1).catch((error: unknown) => error);
      // It goes on as if nothing had happened.
      await insert(tx, 2).catch(() => {});
    });
    await expect(first).rejects.toThrow(/prepared statement/);
    expect((seen as Error).message).toMatch(/prepared statement/);
    expect(await effects()).toEqual([]);
  });

  test.each([
    ['a callback', byCallback],
    ['a query object', byObject],
  ])('nor one by %s, at once or later', async (_, send) => {
    await forgetPrepared();
    const errors: unknown[] = [];
    const first = run(async (tx) => {
      errors.push(await send(tx, 1));
      errors.push(await send(tx, 2));
    });
    await expect(first).rejects.toThrow(/prepared statement/);
    expect(errors.map((error) => (error as Error).message)).toEqual([
      expect.stringMatching(/prepared statement/),
      expect.stringMatching(/prepared statement/),
    ]);
    expect(await effects()).toEqual([]);
  });

  test('the next transaction has a sound connection', async () => {
    await forgetPrepared();
    await expect(run((tx) => insert(tx, 1))).rejects.toThrow(/prepared statement/);
    await run((tx) => insert(tx, 2));
    expect(await effects()).toEqual([2]);
  });
});

describe('when the work has ended its transaction in the middle of a text', () => {
  test('nothing that it sends afterwards is executed', async () => {
    let seen: unknown;
    const ended = run(async (tx) => {
      await insert(tx, 1);
      await tx.query('select 1; rollback');
      seen = await insert(tx, 2).catch((error: unknown) => error);
    });
    await expect(ended).rejects.toThrow(/ended its transaction itself/);
    expect((seen as Error).message).toMatch(/ended its transaction itself/);
    expect(await effects()).toEqual([]);
  });
});
