import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bindStatement, PgDatabase, PgTransactionRunner, type TransactionRunner } from '@waybill/kernel';
import { savepointOf, statement } from '@waybill/kernel/internal';
import { joinTransaction, Outbox, type TransactionHandle } from '@waybill/outbox';
import pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';
import { type Orm, ORMS } from './orms.js';

/** Their drivers hide the server's errors from Waybill: it can only report that an error was swallowed. */
const SILENT = /Prisma|postgres\.js/;

const savepoint = savepointOf('saga');

let fixture: Fixture;
let proxy: TcpProxy;
beforeAll(async () => {
  fixture = await Fixture.create();
  proxy = await TcpProxy.start(fixture.url);
  // The client reports the error before it knows what has become of the transaction.
  proxy.delayStatus(30);
});
afterAll(async () => {
  await proxy.close();
  await fixture.close();
});

/** Every error from the outermost to its deepest cause. */
function causes(error: unknown): unknown[] {
  const { cause } = (error ?? {}) as { readonly cause?: unknown };
  return cause === undefined ? [error] : [error, ...causes(cause)];
}

const CASES = ORMS.flatMap((kind) => [
  { ...kind, late: false, how: '' },
  { ...kind, late: true, how: ', whose status arrives late' },
]);

describe.each(CASES)('a statement has failed in a transaction by $name$how', ({ connect, name, late }) => {
  let orm: Orm<TransactionHandle>;
  beforeAll(async () => {
    orm = await connect(late ? proxy.url : fixture.url, 2);
  });
  afterAll(() => orm.close());

  const swallow = (tx: TransactionHandle): Promise<unknown> =>
    orm.execute(tx, 'select 1 / 0').catch(() => undefined);
  const expectNamed = (error: unknown): void => {
    expect(error).toBeInstanceOf(Error);
    if (!SILENT.test(name)) {
      expect((error as Error).message).toContain('division by zero');
      expect(causes(error)).toContainEqual(expect.objectContaining({ code: '22012' }));
    }
    expect((error as Error).message).toMatch(/was caught|earlier statement in it had failed/);
  };

  test('a handler has swallowed that: its attempt fails with the error of the statement', async () => {
    const runner = orm.transactions?.('waybill', true) as TransactionRunner<TransactionHandle> | undefined;
    if (runner === undefined) return;
    const failing = runner.run({ timeoutMs: 60_000, work: ({ handle }) => swallow(handle) });
    expectNamed(await failing.catch((error: unknown) => error));
  });

  test('and Waybill goes back to a savepoint of its own: the transaction goes on', async () => {
    const published = orm.transaction(async (tx) => {
      const { session } = joinTransaction(tx, 'waybill', true);
      await session.run(savepoint.set);
      await swallow(tx);
      await session.run(savepoint.goBack);
      return new Outbox().publish(tx, { topic: 'orders', payload: {} });
    });
    // It lets no transaction commit in which a statement has failed.
    if (/postgres\.js/.test(name)) {
      await expect(published).rejects.toThrow('division by zero');
      return;
    }
    const { id } = await published;
    const found = await fixture.database.pool.query('select from waybill.outbox where message_id = $1', [id]);
    expect(found.rowCount).toBe(1);
  });

  test('and a message is published: it is refused with the error of the statement', async () => {
    const failing = orm.transaction(async (tx) => {
      const outbox = new Outbox();
      // A client of yours is watched from the first publication on.
      await outbox.publish(tx, { topic: 'orders', payload: {} });
      await swallow(tx);
      await outbox.publish(tx, { topic: 'orders', payload: {} });
    });
    expectNamed(await failing.catch((error: unknown) => error));
  });
});

describe('a pg transaction has ended by a failure, and its status arrives late', () => {
  const pool = (): pg.Pool => new pg.Pool({ connectionString: proxy.url, max: 1 });
  const waitingRows = async (): Promise<number> =>
    (await fixture.database.pool.query('select from waybill.outbox')).rowCount ?? 0;
  beforeAll(() =>
    fixture.database.pool.query('create table deferred (n int unique deferrable initially deferred)'),
  );

  test('COMMIT was refused: a message that is published on its client is refused', async () => {
    const clients = pool();
    const client = await clients.connect();
    const before = await waitingRows();
    try {
      await client.query('begin');
      await client.query('insert into deferred values (1), (1)');
      await expect(client.query('commit')).rejects.toThrow(/duplicate key/);
      await expect(new Outbox().publish(client, { topic: 'orders', payload: {} })).rejects.toThrow(
        'without an open transaction',
      );
      expect(await waitingRows()).toBe(before);
    } finally {
      client.release();
      await clients.end();
    }
  });

  test('a handler has ended it in the middle of a text: nothing is done behind that', async () => {
    const database = new PgDatabase({ connectionString: proxy.url });
    try {
      const runner = new PgTransactionRunner(database);
      const last = statement<[], Record<never, never>>('last', 'insert into deferred values (7) returning n');
      const run = runner.run({
        timeoutMs: 60_000,
        work: ({ handle }) => handle.query('select 1; commit; select 1 / 0').catch(() => undefined),
        last: () => [bindStatement(last)],
      });
      await expect(run).rejects.toThrow('has ended its transaction itself');
      expect((await fixture.database.pool.query('select from deferred')).rowCount).toBe(0);
    } finally {
      await database.close();
    }
  });
});
