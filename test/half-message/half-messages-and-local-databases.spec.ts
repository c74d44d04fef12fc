import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  DatabaseUnavailableError,
  PgDatabase,
  type TransactionRunner,
  type TransactionWork,
} from '@waybill/kernel';
import { type LocalDatabase, LocalDatabases } from '@waybill/half-message';
import { PrismaTransactionRunner } from '@waybill/outbox/internal';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';
import { HalfFloor, LocalLedger, order } from '../support/half-operations.js';
import { runnerOn } from '../support/places.js';

let fixture: Fixture;
let ledger: LocalLedger;
let floor: HalfFloor;
beforeEach(async () => {
  fixture = await Fixture.create();
  ledger = await LocalLedger.create();
  floor = new HalfFloor(fixture, ledger.databases, { checkImmunityMs: 0 });
});
afterEach(async () => {
  await ledger.close();
  await fixture.close();
});

const delivered = async (): Promise<number[]> => numbersOf(await fixture.sentLog());
const write = (n: number) => (tx: pg.PoolClient) => tx.query('insert into done (n) values ($1)', [n]);

/** A promise that a test resolves. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  return { passed: new Promise<void>((resolve) => (open = resolve)), open: () => open() };
}

/** A local transaction whose work is held open. */
function held(how: 'executeWithBarrier' | 'executeWithXactStatus', n: number) {
  const [begun, goOn] = [gate(), gate()];
  const ended = floor.halves[how](order(n), 'ledger', async (tx: pg.PoolClient) => {
    await write(n)(tx);
    begun.open();
    await goOn.passed;
  });
  ended.catch(() => undefined);
  return { begun: begun.passed, goOn: goOn.open, ended };
}

describe.each(['executeWithBarrier', 'executeWithXactStatus'] as const)('%s', (how) => {
  test('delivers only what its local transaction has committed', async () => {
    await floor.halves[how](order(1), 'ledger', write(1));
    const failed = floor.halves[how](order(2), 'ledger', async (tx: pg.PoolClient) => {
      await write(2)(tx);
      throw new Error('no cover');
    });
    await expect(failed).rejects.toThrow('no cover');
    expect(await ledger.done()).toEqual([1]);
    expect(await delivered()).toEqual([1]);
    expect((await floor.operations.stats()).open).toBe(0);
    const states = await floor.operations.list({ states: ['committed', 'rolled-back'] });
    expect(states.map(({ state }) => state)).toEqual(['committed', 'rolled-back']);
  });

  test('waits for a local transaction that is still open, and does not count that as a check', async () => {
    const { begun, goOn, ended } = held(how, 1);
    await begun;
    const checker = floor.checker();
    await checker.runOnce();
    expect(checker.counts).toMatchObject({ open: 1, unknown: 0, rollback: 0 });
    expect(await floor.operations.list()).toMatchObject([
      { state: 'prepared', checks: 0, lastResult: 'open' },
    ]);
    goOn();
    await ended;
    expect(await delivered()).toEqual([1]);
  });

  test('needs no user code to decide about what its process has left open', async () => {
    const outcomes = [true, false];
    for (const [n, committed] of outcomes.entries()) {
      // The process is gone before it commits the half.
      floor.halves.store.commitStored = () => new Promise(() => undefined);
      floor.halves.store.decide = () => new Promise(() => undefined);
      void floor.halves[how](order(n), 'ledger', async (tx: pg.PoolClient) => {
        await write(n)(tx);
        if (!committed) throw new Error('no cover');
      });
      floor = new HalfFloor(fixture, ledger.databases, { checkImmunityMs: 0 });
      await waitUntil(
        async () => {
          const open = await ledger.asking.pool.query(
            `select from pg_stat_activity where datname = current_database() and state like 'idle in%'`,
          );
          return open.rowCount === 0 && (await floor.operations.list()).length === n + 1;
        },
        { describe: 'the local transaction has ended' },
      );
    }
    const checker = floor.checker();
    await waitUntil(async () => (await checker.runOnce()) === 'idle', { describe: 'all are checked' });
    expect(checker.counts).toMatchObject({ commit: 1, rollback: 1 });
    expect(await ledger.done()).toEqual([0]);
    expect(await delivered()).toEqual([0]);
    const by = how === 'executeWithBarrier' ? 'tombstone' : 'xact-status';
    const decided = await floor.operations.list({ states: ['committed', 'rolled-back'] });
    expect(decided.map(({ decidedBy }) => decidedBy)).toEqual([by, by]);
  });

  test.each(['committed', 'rolled back'])(
    'asks the local database when the response to its COMMIT was lost: %s',
    async (end) => {
      const runner = ledger.local.transactions;
      const losing: TransactionRunner<pg.PoolClient> = {
        kind: 'pg',
        session: runner.session,
        run: async <T>(transaction: TransactionWork<pg.PoolClient, T>): Promise<T> => {
          await runner
            .run({
              ...transaction,
              work: async (open) => {
                const result = await transaction.work(open);
                if (end === 'rolled back') await open.handle.query('select 1 / 0').catch(() => undefined);
                return result;
              },
            })
            .catch(() => undefined);
          throw new DatabaseUnavailableError('the answer to COMMIT was lost');
        },
      };
      const local = { ...ledger.local, transactions: losing } as unknown as LocalDatabase;
      const halves = new HalfFloor(fixture, new LocalDatabases([local])).halves;
      const ended = halves[how](order(1), 'ledger', async (tx) => {
        await write(1)(tx as pg.PoolClient);
        return 'worked';
      });
      if (end === 'committed') expect(await ended).toBe('worked');
      else await expect(ended).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      expect(await delivered()).toEqual(end === 'committed' ? [1] : []);
      expect(await ledger.done()).toEqual(end === 'committed' ? [1] : []);
      expect((await floor.operations.stats()).open).toBe(0);
    },
  );
});

describe('the tombstone', () => {
  test('refuses a late local transaction whose half was rolled back', async () => {
    const [begun, goOn] = [gate(), gate()];
    const runner = ledger.local.transactions;
    const late: TransactionRunner<pg.PoolClient> = {
      kind: 'pg',
      session: runner.session,
      run: async (transaction) => {
        begun.open();
        await goOn.passed;
        return runner.run(transaction);
      },
    };
    const local = { ...ledger.local, transactions: late } as unknown as LocalDatabase;
    const halves = new HalfFloor(fixture, new LocalDatabases([local]), { checkImmunityMs: 0 }).halves;
    const ended = halves.executeWithBarrier(order(1), 'ledger', (tx) => write(1)(tx as pg.PoolClient));
    await begun.passed;
    const checker = floor.checker();
    await checker.runOnce();
    expect(checker.counts).toMatchObject({ rollback: 1 });
    goOn.open();
    await expect(ended).rejects.toMatchObject({ code: 'BARRIER_REFUSED' });
    expect(await ledger.done()).toEqual([]);
    expect(await delivered()).toEqual([]);
  });

  test('and the local transaction never both succeed, in either order', async () => {
    const runner = ledger.local.transactions;
    const isOpen = (n: number): Promise<boolean> =>
      fixture.value<boolean>('select exists (select from waybill.half_message where messages @> $1::jsonb)', [
        JSON.stringify([{ key: `order-${n}` }]),
      ]);
    // One in five comes after the tombstone; for the others the order is random.
    const late = (n: number): Promise<void> =>
      n % 5 === 1
        ? waitUntil(async () => !(await isOpen(n)), { describe: `${n} is decided`, timeoutMs: 60_000 })
        : new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
    const halvesOf = (n: number): HalfFloor['halves'] => {
      const tardy: TransactionRunner<pg.PoolClient> = {
        kind: 'pg',
        session: runner.session,
        run: (transaction) => late(n).then(() => runner.run(transaction)),
      };
      const local = { ...ledger.local, transactions: tardy } as unknown as LocalDatabase;
      return new HalfFloor(fixture, new LocalDatabases([local]), { checkImmunityMs: 40 }).halves;
    };
    const checker = floor.checker({}, { pollMs: 1, retryMs: 1, retryMaxMs: 5 });
    checker.start();
    const ends = await Promise.allSettled(
      upTo(300).map(async (n) => {
        const work = async (tx: pg.PoolClient): Promise<void> => {
          await write(n)(tx);
          if (n % 7 === 0) throw new Error('no cover');
        };
        await halvesOf(n).executeWithBarrier(order(n, `order-${n}`), 'ledger', work);
      }),
    );
    await waitUntil(async () => (await floor.operations.stats()).open === 0, { describe: 'all are decided' });
    await checker.stop();
    const done = await ledger.done();
    expect(await delivered()).toEqual(done);
    expect(faultsOf(await fixture.sentLog())).toEqual([]);
    const outcomes = ends.map((end) =>
      end.status === 'fulfilled' ? 'done' : String((end.reason as { code?: string }).code ?? end.reason),
    );
    // Both outcomes must have happened, or nothing was proved.
    const tooLate = outcomes.filter((_, n) => n % 5 === 1);
    expect(tooLate).toEqual(tooLate.map(() => 'BARRIER_REFUSED'));
    expect(outcomes).toContain('done');
  });

  test('works with Prisma, also in transactions that the caller opens', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: ledger.url }) });
    try {
      const transactions = new PrismaTransactionRunner(prisma, 'waybill');
      const local = { name: 'ledger', transactions, session: ledger.asking.session };
      const databases = new LocalDatabases([local as unknown as LocalDatabase]);
      floor = new HalfFloor(fixture, databases, { checkImmunityMs: 0 });
      type Tx = Parameters<Parameters<typeof prisma.$transaction>[0]>[0];
      await floor.halves.executeWithBarrier(
        order(1),
        'ledger',
        (tx: Tx) => tx.$executeRaw`insert into done values (1)`,
      );
      const half = await floor.halves.prepare(order(2), { barrier: 'ledger' });
      await prisma.$transaction(async (tx) => {
        await floor.halves.pass(tx, half, 'ledger');
        await tx.$executeRaw`insert into done values (2)`;
      });
      await floor.checker().runOnce();
      const given = await floor.halves.prepare(order(3), { barrier: 'ledger' });
      await floor.checker().runOnce();
      await expect(prisma.$transaction((tx) => floor.halves.pass(tx, given, 'ledger'))).rejects.toMatchObject(
        { code: 'BARRIER_REFUSED' },
      );
      await floor.halves.executeWithXactStatus(
        order(4),
        'ledger',
        (tx: Tx) => tx.$executeRaw`insert into done values (4)`,
      );
      const asked = new LocalDatabases([
        {
          name: 'ledger',
          transactions,
          session: new PrismaTransactionRunner(prisma, 'waybill').session,
        } as unknown as LocalDatabase,
      ]);
      await floor.halves.prepare(order(5), { barrier: 'ledger' });
      await floor.checker({ databases: asked }).runOnce();
    } finally {
      await prisma.$disconnect();
    }
    expect(await ledger.done()).toEqual([1, 2, 4]);
    expect(await delivered()).toEqual([1, 2, 4]);
    expect((await floor.operations.stats()).open).toBe(0);
  });

  test('is not set in another database, where it would say nothing', async () => {
    const { id } = await floor.halves.prepare(order(1), { barrier: 'ledger' });
    const other = await LocalLedger.create();
    try {
      const checker = floor.checker({ databases: other.databases });
      await checker.runOnce();
      expect(checker.counts).toMatchObject({ rollback: 0, unknown: 1 });
      expect(await floor.operations.show(id)).toMatchObject({
        lastResult: 'unknown: ledger is another database now',
      });
      expect((await other.asking.pool.query('select from waybill.barrier')).rowCount).toBe(0);
    } finally {
      await other.close();
    }
  });

  test('needs transactions and session in one database, on two pools, and a known database', async () => {
    const execute = (local: LocalDatabase) =>
      new HalfFloor(fixture, new LocalDatabases([local])).halves.executeWithBarrier(
        order(1),
        local,
        async () => {},
      );
    const { transactions } = ledger.local as unknown as LocalDatabase;
    await expect(execute({ name: 'x', transactions, session: fixture.database.session })).rejects.toThrow(
      'must be in the same database',
    );
    await expect(execute({ name: 'x', transactions, session: transactions.session })).rejects.toThrow(
      'a separate pool',
    );
    await expect(floor.halves.prepare(order(1), { barrier: 'nowhere' })).rejects.toThrow('known: ledger');
    expect(() => new LocalDatabases([ledger.local, ledger.local] as unknown as LocalDatabase[])).toThrow(
      'two have the name',
    );
  });
});

describe('pg_xact_status', () => {
  const askedAbout = async (change: string): Promise<string | null> => {
    const { begun, goOn, ended } = held('executeWithXactStatus', 1);
    await begun;
    await fixture.database.pool.query(
      `update waybill.half_message set local = jsonb_set(local, ${change}), next_check_at = clock_timestamp()`,
    );
    const checker = floor.checker();
    await checker.runOnce();
    expect(checker.counts).toMatchObject({ commit: 0, rollback: 0 });
    const [half] = await floor.operations.list();
    goOn();
    await ended;
    return half?.lastResult ?? null;
  };

  test('says nothing on another cluster, on another timeline, and about the future', async () => {
    expect(await askedAbout(`'{transaction,timeline}', '"00000063"'`)).toMatch(
      /^unknown: .* another cluster or timeline/,
    );
    expect(await askedAbout(`'{transaction,systemIdentifier}', '"1"'`)).toMatch(
      /^unknown: .* another cluster/,
    );
    expect(await askedAbout(`'{transaction,xid}', '"999999999"'`)).toMatch(
      /^unknown: .* has not started yet/,
    );
  });

  test('is not trusted after a failover that gave the id to another transaction: the barrier or the user decides', async () => {
    const committedByOthers = await ledger.asking.pool.query(
      'insert into done values (99) returning pg_current_xact_id()::text as xid',
    );
    const { xid } = committedByOthers.rows[0] as { xid: string };
    const mark = { ...(await ledger.databases.describe(ledger.local as unknown as LocalDatabase)) };
    const cluster = await ledger.asking.pool.query(
      'select system_identifier::text as id from pg_control_system()',
    );
    const transaction = {
      xid,
      systemIdentifier: (cluster.rows[0] as { id: string }).id,
      timeline: '00000063',
    };
    for (const [n, barrier] of [true, false].entries()) {
      const { id } = await floor.halves.prepare(order(n));
      await fixture.database.pool.query('update waybill.half_message set local = $1 where id = $2', [
        JSON.stringify({ ...mark, barrier, transaction }),
        id,
      ]);
    }
    await floor.checker({ groupCheck: () => 'rollback' }).runOnce();
    const decided = await floor.operations.list({ states: ['rolled-back'] });
    expect(decided.map(({ decidedBy }) => decidedBy)).toEqual(['tombstone', 'check']);
    expect(await delivered()).toEqual([]);
  });

  test('is refused when the half would be prepared on the pool of its local transaction', async () => {
    const transactions = runnerOn(fixture.database);
    const session = new PgDatabase({ connectionString: fixture.url });
    const local = { name: 'own', transactions, session: session.session } as unknown as LocalDatabase;
    const { halves } = new HalfFloor(fixture, new LocalDatabases([local]));
    await expect(halves.executeWithXactStatus(order(1), 'own', async () => {})).rejects.toThrow(
      'share a pool',
    );
    await session.close();
  });
});

describe('a local server that crashes', () => {
  let server: EmbeddedPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.stop());

  test.each(['executeWithBarrier', 'executeWithXactStatus'] as const)(
    '%s: no id is assigned twice, and what had not committed is rolled back',
    async (how) => {
      const crashing = await LocalLedger.create(server.connectionString);
      floor = new HalfFloor(fixture, crashing.databases, { checkImmunityMs: 0, resolveMs: 0 });
      for (const n of upTo(3)) {
        const { begun, goOn, ended } = held(how, n);
        await begun;
        await server.restart('immediate');
        // Transactions after the crash: if an id were assigned twice, one of these would have it, and commit.
        for (const _ of upTo(40)) {
          await waitUntil(
            () => crashing.asking.pool.query('insert into done values (1000)').then(() => true),
            { describe: 'the server is back' },
          );
        }
        goOn();
        const checker = floor.checker();
        await floor.makeDue();
        await checker.runOnce();
        await expect(ended).rejects.toThrow();
        await waitUntil(
          async () => {
            await floor.makeDue();
            await checker.runOnce();
            return (await floor.operations.stats()).open === 0;
          },
          { describe: 'it is decided' },
        );
      }
      expect(await delivered()).toEqual([]);
      expect((await crashing.done()).filter((n) => n < 1000)).toEqual([]);
      await crashing.close();
    },
    120_000,
  );
});
