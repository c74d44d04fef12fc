import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { resolveSubscription } from '@waybill/consumer';
import { HandlerAbandonedError, type TransactionRunner } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { Waybill } from '@waybill/nestjs';
import { OutboxTransactions, type TransactionHandle } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { type Orm, ORMS } from './orms.js';

const savepoint = statement<[], Record<never, never>>('savepoint', 'savepoint waybill_delivery');
const rollbackToSavepoint = statement<[], Record<never, never>>(
  'rollback-to-savepoint',
  'rollback to savepoint waybill_delivery',
);
const insertRow = statement<[number], Record<never, never>>(
  'insert-row',
  'insert into business (n) values ($1::integer)',
);

const deleteRow = statement<[number], Record<never, never>>(
  'delete-row',
  'delete from business where n = $1::integer',
);

const WITH_RUNNER = ORMS.filter(({ name }) => name !== 'postgres.js');

describe.each(WITH_RUNNER)("handlers' transactions by $name", ({ connect, seesEnd, name }) => {
  let fixture: Fixture;
  let orm: Orm<TransactionHandle>;
  let runner: TransactionRunner<TransactionHandle>;
  let waybill: Waybill | undefined;
  beforeAll(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 }, 'orders.done': { partitions: 1 } });
    await fixture.database.pool.query('create table business (n integer primary key)');
    orm = await connect(fixture.url, 5);
  });
  beforeEach(() => {
    runner = orm.transactions?.('waybill', true) as TransactionRunner<TransactionHandle>;
  });
  afterEach(async () => {
    await waybill?.stop();
    waybill = undefined;
  });
  afterAll(async () => {
    await orm.close();
    await fixture.close();
  });

  const rows = async (): Promise<number[]> =>
    (await fixture.database.pool.query<{ n: number }>('select n from business order by n')).rows.map(
      ({ n }) => n,
    );
  const message = (n: number) => ({ topic: 'orders.done', key: 'k', payload: { n } });
  const published = async (): Promise<number[]> => {
    await fixture.moveAll();
    return (await fixture.log('orders.done')).map(({ payload }) => payload.n);
  };

  test("are of the library's type, and a handler that fails leaves nothing, wherever it fails", async () => {
    waybill = new Waybill('default', {
      database: { connectionString: fixture.url },
      group: `group-${name.toLowerCase().replaceAll(/[^a-z]/g, '-')}`,
      ...(orm.transactions === undefined ? {} : { transactions: orm.transactions }),
    });
    const { outbox } = waybill;
    const attempts: number[] = [];
    const types: boolean[] = [];
    await waybill.consume({
      subscriptions: [
        resolveSubscription(
          'orders',
          async ({ transaction, payload, attempt }) => {
            const { n } = payload as { n: number };
            const tx = transaction as TransactionHandle;
            attempts.push(n);
            types.push(orm.isOwn(tx));
            await orm.insert(tx, n);
            await outbox.publish(tx, message(n));
            if (n === 2 && attempt === 1) throw new Error('failed on purpose');
          },
          { retry: { delayMs: 10 } },
        ),
      ],
    });
    for (const n of [1, 2, 3]) await fixture.publish(n, 'same key');
    await waitUntil(async () => (await rows()).length === 3, { describe: () => 'three effects' });
    await waitUntil(async () => (await published()).length === 3, { describe: () => 'three messages' });
    expect(await rows()).toEqual([1, 2, 3]);
    expect(await published()).toEqual([1, 2, 3]);
    expect(attempts.filter((n) => n === 2)).toHaveLength(2);
    expect(new Set(types)).toEqual(new Set([true]));
  });

  test('keep the writes of the work and of the last statements, or neither', async () => {
    const last = (n: number) => () => [{ statement: insertRow as never, params: [n] }];
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 11), last: last(12) });
    expect(await rows()).toEqual(expect.arrayContaining([11, 12]));
    const clashing = runner.run({
      timeoutMs: 60_000,
      work: ({ handle }) => orm.insert(handle, 13),
      last: last(12),
    });
    await expect(clashing).rejects.toThrow(/duplicate key|Unique/);
    const failing = runner.run({
      timeoutMs: 60_000,
      work: async ({ handle }) => {
        await orm.insert(handle, 14);
        throw new Error('failed on purpose');
      },
      last: last(15),
    });
    await expect(failing).rejects.toThrow('on purpose');
    expect((await rows()).filter((n) => n > 12)).toEqual([]);
  });

  test('write everything of the work before the last statements', async () => {
    await runner.run({
      timeoutMs: 60_000,
      work: ({ handle }) => orm.insert(handle, 16),
      last: () => [{ statement: deleteRow as never, params: [16] }],
    });
    expect(await rows()).not.toContain(16);
  });

  test('are abandoned at their time-out, and can write nothing more', async () => {
    let release: () => void = () => undefined;
    const late: { error?: unknown } = {};
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const stuck = runner.run({
      timeoutMs: 150,
      work: async ({ handle, session }) => {
        await orm.insert(handle, 21);
        await new Promise<void>((resolve) => (release = resolve));
        try {
          await orm.execute(handle, 'insert into business (n) values (22)');
        } catch (error) {
          late.error = error;
        }
        await session.run(insertRow, 23).catch(() => undefined);
        end();
      },
    });
    await expect(stuck).rejects.toThrow(HandlerAbandonedError);
    // Another transaction may have the connection by now.
    await orm.transaction(async (tx) => {
      release();
      await ended;
      await orm.insert(tx, 24);
    });
    expect(late.error).toBeDefined();
    expect((await rows()).filter((n) => n > 20)).toEqual([24]);
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 25) });
    expect(await rows()).toContain(25);
  });

  test('are aborted while a statement waits for a lock', async () => {
    const holder = await fixture.database.pool.connect();
    await holder.query('begin');
    await holder.query('lock table business in access exclusive mode');
    const started = performance.now();
    const stuck = runner.run({
      timeoutMs: 200,
      work: ({ handle }) => orm.execute(handle, 'insert into business (n) values (30)'),
    });
    // The lock's own time-out is about as long, so either may be first.
    await expect(stuck).rejects.toThrow(/did not end within 200 ms|lock timeout|Failed query|terminated/);
    expect(performance.now() - started).toBeLessThan(30_000);
    await holder.query('rollback');
    holder.release();
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 31) });
    expect((await rows()).filter((n) => n >= 30)).toEqual([31]);
  });

  test('in which a statement has failed never count as committed', async () => {
    const before = await rows();
    const swallowing = runner.run({
      timeoutMs: 60_000,
      work: async ({ handle }) => {
        await orm.insert(handle, 41);
        await orm.execute(handle, 'select 1 / 0').catch(() => undefined);
      },
    });
    await expect(swallowing).rejects.toThrow(/rolled back|already failed|aborted/);
    expect(await rows()).toEqual(before);
  });

  if (seesEnd)
    test('fail when their work has ended them in SQL, so that nothing is written outside', async () => {
      const before = await rows();
      const ending = runner.run({
        timeoutMs: 60_000,
        work: async ({ handle }) => {
          await orm.execute(handle, 'rollback');
        },
        last: () => [{ statement: insertRow as never, params: [51] }],
      });
      await expect(ending).rejects.toMatchObject({ code: 'TRANSACTION_REQUIRED' });
      expect(await rows()).toEqual(before);
    });

  test('are READ COMMITTED, with limits on idling and on locks', async () => {
    const read = statement<[], { level: string; idle: string; lock: string }>(
      'read-settings',
      `select current_setting('transaction_isolation') as level,
              current_setting('idle_in_transaction_session_timeout') as idle, current_setting('lock_timeout') as lock`,
    );
    const settings = await runner.run({ timeoutMs: 7_000, work: ({ session }) => session.run(read) });
    expect(settings).toEqual([
      {
        level: 'read committed',
        idle: name === 'pg' ? '7s' : '7500ms',
        lock: name === 'pg' ? '7s' : '7500ms',
      },
    ]);
    expect(await runner.session.run(read)).toMatchObject([{ level: 'read committed' }]);
    expect(runner.session.schema).toBe('waybill');
  });

  test('lose only the failed one of several messages', async () => {
    await runner.run({
      timeoutMs: 60_000,
      work: async ({ session, handle }) => {
        await session.run(savepoint);
        await orm.insert(handle, 61);
        await session.run(savepoint);
        await orm.insert(handle, 62);
        await session.run(rollbackToSavepoint);
        await session.run(savepoint);
        await orm.insert(handle, 63);
      },
    });
    expect((await rows()).filter((n) => n > 60)).toEqual([61, 63]);
  });

  test("send messages of business transactions with their COMMIT, and then ring the relay's bell", async () => {
    const transactions = new OutboxTransactions(fixture.outbox, runner);
    await transactions.run(async (tx, outbox) => {
      await orm.insert(tx, 71);
      outbox.publish(message(71));
    });
    const failing = transactions.run(async (tx, outbox) => {
      await orm.insert(tx, 72);
      outbox.publish({ topic: 'nowhere', payload: {} });
    });
    await expect(failing).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    expect((await rows()).filter((n) => n > 70)).toEqual([71]);
    expect((await published()).filter((n) => n > 70)).toEqual([71]);
  });

  test('send no statement that was built in time and comes late, at any moment', async () => {
    for (let turns = 0; turns < 12; turns += 1) {
      let late: Promise<unknown> = Promise.resolve();
      const failing = runner.run({
        timeoutMs: 60_000,
        work: async ({ handle }) => {
          await orm.insert(handle, 91);
          const send = orm.prepareInsert(handle, 92);
          late = (async () => {
            for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
            // During its ROLLBACK, or after it.
            await Promise.resolve();
            await send();
          })().catch(() => undefined);
          throw new Error('failed on purpose');
        },
      });
      await expect(failing).rejects.toThrow('on purpose');
      await late;
    }
    await runner.run({ timeoutMs: 60_000, work: ({ handle }) => orm.insert(handle, 93) });
    expect((await rows()).filter((n) => n > 90)).toEqual([93]);
  });

  test('leave neither a role nor a search path to the last statements, nor to the next transaction', async () => {
    const role = `tenant_${process.pid}_${Date.now()}`;
    await fixture.database.pool.query(`create role ${role}`);
    await fixture.database.pool.query(`grant ${role} to current_user`);
    const single = await connect(fixture.url, 1);
    const one = single.transactions?.('waybill', true) as TransactionRunner<TransactionHandle>;
    const read = statement<[], { role: string; path: string }>(
      'read-role',
      `select current_setting('role') as role, current_setting('search_path') as path`,
    );
    try {
      for (const set of [`set local role ${role}`, `set role ${role}`, 'set search_path to pg_catalog']) {
        await one.run({
          timeoutMs: 60_000,
          work: ({ handle }) => single.execute(handle, set),
          last: () => [
            {
              statement: statement('count-topics', 'select count(*) from waybill.topic') as never,
              params: [],
            },
          ],
        });
        const settings = await one.run({ timeoutMs: 60_000, work: ({ session }) => session.run(read) });
        expect(settings).toEqual([{ role: 'none', path: '"$user", public' }]);
      }
    } finally {
      await single.close();
      await fixture.database.pool.query(`drop role ${role}`);
    }
  });

  test('are unusable when their work has ended', async () => {
    const kept: { tx?: TransactionHandle } = {};
    await runner.run({ timeoutMs: 60_000, work: async ({ handle }) => void (kept.tx = handle) });
    const tx = kept.tx as TransactionHandle;
    await expect(fixture.outbox.publish(tx, message(81))).rejects.toMatchObject({
      code: 'TRANSACTION_REQUIRED',
    });
    expect(await published()).not.toContain(81);
  });
});
