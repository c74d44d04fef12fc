import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { OpenTransaction, PgTransactionRunner } from '@waybill/kernel';
import { runAhead, statement } from '@waybill/kernel/internal';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { ShopFloor } from '../support/shop-floor.js';
import { runnerOn } from '../support/places.js';

type Open = OpenTransaction<pg.PoolClient>;

const note = statement<[what: string], { n: number }>(
  'note',
  'insert into noted (what) values ($1) returning n',
);
const fail = statement<[], Record<never, never>>('fail', 'select 1 / (n - n) from noted');
const savepoint = statement<[], Record<never, never>>('mark', 'savepoint mark');
const rollback = statement<[], Record<never, never>>('back', 'rollback to savepoint mark');

let fixture: Fixture;
let runner: PgTransactionRunner;
beforeEach(async () => {
  fixture = await Fixture.create();
  runner = runnerOn(fixture.database);
  await fixture.database.pool.query('create table noted (n int generated always as identity, what text)');
});
afterEach(() => fixture.close());

const run = <T>(work: (open: Open) => Promise<T>): Promise<T> => runner.run({ work, timeoutMs: 60_000 });
const noted = async (): Promise<string[]> => {
  const { rows } = await fixture.database.pool.query<{ what: string }>('select what from noted order by n');
  return rows.map(({ what }) => what);
};

/** Counts the round trips to the server during `work`. */
async function tripsOf(work: () => Promise<unknown>): Promise<number> {
  let trips = 0;
  const client = await fixture.database.pool.connect();
  const { connection } = client as unknown as { connection: { sync(): void } };
  const { sync } = connection;
  connection.sync = function count(this: unknown) {
    trips += 1;
    sync.call(this);
  };
  client.release();
  await work();
  return trips;
}

describe('a transaction of Waybill', () => {
  test('sends BEGIN and statements that are not awaited with the next one, and the rest with COMMIT', async () => {
    const trips = await tripsOf(() =>
      run(async ({ session }) => {
        await runAhead(session, savepoint);
        await runAhead(session, note, 'a');
        await session.run(note, 'b');
        await runAhead(session, note, 'c');
      }),
    );
    expect(trips).toBe(2);
    expect(await noted()).toEqual(['a', 'b', 'c']);
  });

  test('sends BEGIN with the first query of the holder of the client, which gets the result of its driver', async () => {
    let results: pg.QueryResult[] = [];
    const trips = await tripsOf(() =>
      run(async ({ session, handle }) => {
        await runAhead(session, note, 'a');
        results = [
          await handle.query('insert into noted (what) values ($1) returning n, what', ['b']),
          await handle.query({ text: 'select 7 as seven', rowMode: 'array' }),
        ];
      }),
    );
    // A query without values is a message of its own kind, and no Sync.
    expect(trips).toBe(2);
    expect(results[0]).toMatchObject({ command: 'INSERT', rowCount: 1, rows: [{ n: 2, what: 'b' }] });
    expect(results[0]?.fields.map(({ name }) => name)).toEqual(['n', 'what']);
    expect(results[1]).toMatchObject({ command: 'SELECT', rows: [[7]] });
    expect(await noted()).toEqual(['a', 'b']);
  });

  test.each([
    ['rows as arrays', { text: 'select 7 as seven', rowMode: 'array' }, [[7]]],
    [
      'types of its own',
      { text: 'select 7 as seven', types: { getTypeParser: () => () => 'seven' } },
      [{ seven: 'seven' }],
    ],
    ['several statements', 'select 1 as one; select 7 as seven', undefined],
  ])('runs a first query with %s as the driver does', async (_, query, rows) => {
    const result: unknown = await run(({ handle }) => handle.query(query as pg.QueryConfig));
    if (rows === undefined) expect(result).toMatchObject([{ rows: [{ one: 1 }] }, { rows: [{ seven: 7 }] }]);
    else expect(result).toMatchObject({ rows });
  });

  test.each([
    ['a failed one', { text: 'select 1 / $1::int', values: [0] }, { code: '22012' }],
    [
      'a parser that throws',
      {
        text: 'select 7',
        types: {
          getTypeParser: () => () => {
            throw new Error('unreadable');
          },
        },
      },
      { message: 'unreadable' },
    ],
    ['a COPY without a stream', { text: 'copy noted (what) from stdin' }, { code: '57014' }],
  ])('passes the error of %s to the holder of the client, and goes on', async (_, query, error) => {
    const failed = run(({ handle }) => handle.query(query as pg.QueryConfig));
    await expect(failed).rejects.toMatchObject(error);
    expect(await run(async ({ session }) => session.run(note, 'a'))).toHaveLength(1);
  });

  test('sends no query of the holder when BEGIN could not be sent with it', async () => {
    const late = run(async ({ session, handle }) => {
      await runAhead(session, fail);
      await runAhead(session, note, 'lost');
      await Promise.allSettled([
        handle.query('insert into noted (what) values ($1)', ['lost']),
        handle.query('insert into noted (what) values ($1)', ['lost, too']),
      ]);
    });
    // There is no row to divide for yet: this only shows that all of it is one transaction.
    await late;
    expect(await noted()).toEqual(['lost', 'lost', 'lost, too']);
    const broken = run(async ({ session, handle }) => {
      await runAhead(session, fail);
      await Promise.allSettled([
        handle.query('insert into noted (what) values ($1)', ['never']),
        handle.query('insert into noted (what) values ($1)', ['never']),
      ]);
    });
    await expect(broken).rejects.toThrow(/division by zero/);
    expect(await noted()).toHaveLength(3);
  });

  test('keeps the order among its statements and those of the holder of the client', async () => {
    await run(async ({ session, handle }) => {
      expect(handle.getTransactionStatus()).toBe('T');
      await runAhead(session, note, 'a');
      const first = handle.query('insert into noted (what) values ($1)', ['b']);
      await runAhead(session, note, 'c');
      await Promise.all([
        first,
        handle.query({ text: 'insert into noted (what) values ($1)', values: ['d'] }),
      ]);
      await runAhead(session, note, 'e');
      await new Promise<void>((resolve, reject) => {
        handle.query(`insert into noted (what) values ('f')`, (error: Error | null) =>
          error === null ? resolve() : reject(error),
        );
      });
    });
    expect(await noted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  test('sends nothing when it fails before its first statement', async () => {
    await expect(run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await run(async () => 7)).toBe(7);
  });

  test.each(['with the next statement', 'before the client is used', 'with COMMIT'])(
    'fails as a whole when a statement that was sent %s fails, whatever the caller does about it',
    async (when) => {
      const broken = run(async ({ session, handle }) => {
        await session.run(note, 'done before');
        await runAhead(session, savepoint);
        await session.run(note, 'behind the savepoint');
        await runAhead(session, fail);
        if (when === 'before the client is used') await handle.query('select 1').catch(() => {});
        if (when === 'with COMMIT') return;
        await session.run(note, 'lost').catch(() => {});
        // Would return to the savepoint, and could be committed, if the failure were not remembered.
        await session.run(rollback).catch(() => {});
      });
      await expect(broken).rejects.toThrow(/division by zero/);
      expect(await noted()).toEqual([]);
    },
  );

  test('refuses its session after it has ended', async () => {
    let kept: Open['session'] | undefined;
    await run(async ({ session }) => {
      kept = session;
      await session.run(note, 'a');
    });
    await expect(kept?.run(note, 'late')).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
    expect(() => kept?.ahead?.({ statement: note, params: ['late'] })).toThrow(/has ended/);
    expect(await noted()).toEqual(['a']);
  });
});

test('a statement that a handler did not wait for fails its own message, and no other of the same transaction', async () => {
  const floor = new ShopFloor(fixture);
  try {
    await floor.publish(upTo(12).map((n) => ({ n, key: 'one-key' })));
    const retry = { immediateAttempts: 0, delayMs: 5, maxAttempts: 2 };
    await floor.consume(
      async (delivery) => {
        const tx = delivery.transaction as pg.PoolClient;
        await floor.keep(delivery);
        if ((delivery.payload as { n: number }).n === 5) void tx.query('select 1 / 0').catch(() => {});
      },
      { transactionBatch: 6, retry },
    );
    await waitUntil(async () => (await floor.effects()).length === 11, {
      describe: 'the others took effect',
    });
    expect((await floor.effects()).toSorted((a, b) => a - b)).toEqual(upTo(12).filter((n) => n !== 5));
    await waitUntil(async () => (await fixture.deadLetters.list()).length === 1, {
      describe: 'it is a dead letter',
    });
  } finally {
    await floor.close();
  }
});
