import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { LocalDatabases } from '@waybill/half-message';
import { Barrier, GuardRetention } from '@waybill/guard';
import { newId, PgSession, type TransactionRunner } from '@waybill/kernel';
import { type PgQueryable } from '@waybill/kernel/internal';
import { databaseIdentity } from '@waybill/schema';
import { type EmbeddedPostgres, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import { joined, Participant } from '../support/barriers.js';
import { DAY_MS, idOf } from '../support/message-guard.js';

const ends: (() => void)[] = [];
const onTestEnd = (end: () => void): number => ends.push(end);
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

describe.each(['pg', 'prisma'] as const)('a participant on %s', (kind) => {
  let bank: Participant;
  beforeAll(async () => {
    bank = await Participant.create(testServerUrl(), kind);
    await bank.barrier.assertSharesConnection(bank.runner);
  });
  afterAll(() => bank.close());

  test('does an operation once, and its duplicate gets its outcome', async () => {
    const gid = newId();
    const done = { outcome: 'done', result: { left: 7 } };
    expect(await bank.do(gid, 'action', { result: { left: 7 } })).toEqual(done);
    expect(await bank.do(gid, 'action', { result: { left: 6 } })).toEqual({ ...done, outcome: 'duplicate' });
    expect(await bank.do(gid, 'action', { branch: '02' })).toEqual({ outcome: 'done', result: undefined });
    expect(await bank.do(gid, 'action', { branch: '02' })).toEqual({
      outcome: 'duplicate',
      result: undefined,
    });
    expect(await bank.effects(gid)).toEqual(['action', 'action']);
  });

  test.each([
    ['action', 'compensate'],
    ['try', 'cancel'],
  ] as const)('%s and %s: in order, empty, and hanging', async (forward, back) => {
    const gid = newId();
    expect(await bank.do(gid, forward)).toMatchObject({ outcome: 'done' });
    expect(await bank.do(gid, back, { result: 1 })).toMatchObject({ outcome: 'done', result: 1 });
    expect(await bank.do(gid, back)).toMatchObject({ outcome: 'duplicate', result: 1 });
    expect(await bank.effects(gid)).toEqual([forward, back]);
    const lost = newId();
    expect(await bank.do(lost, back)).toEqual({ outcome: 'empty' });
    expect(await bank.do(lost, back)).toMatchObject({ outcome: 'duplicate' });
    expect(await bank.do(lost, forward)).toEqual({ outcome: 'refused' });
    expect(await bank.do(lost, forward)).toEqual({ outcome: 'refused' });
    expect(await bank.effects(lost)).toEqual([]);
  });

  test('a rejected operation is refused when it comes again, has nothing to undo, and may be pardoned', async () => {
    const barrier = new Barrier();
    const inTransaction = (work: 'reject' | 'pardon', gid: string): Promise<void> =>
      bank.runner.run({
        work: ({ session }) => barrier[work](session, { gid, branch: '01', op: 'action' }),
        timeoutMs: 60_000,
      });
    const rejected = newId();
    await inTransaction('reject', rejected);
    expect(await bank.do(rejected, 'action')).toEqual({ outcome: 'refused' });
    expect(await bank.do(rejected, 'compensate')).toEqual({ outcome: 'empty' });
    const pardoned = newId();
    await inTransaction('reject', pardoned);
    await inTransaction('pardon', pardoned);
    expect(await bank.do(pardoned, 'action')).toMatchObject({ outcome: 'done' });
    expect(await bank.do(pardoned, 'compensate')).toMatchObject({ outcome: 'done' });
    expect(await bank.effects(pardoned)).toEqual(['action', 'compensate']);
    // A pardon undoes only a rejection: not what has happened, and not what a compensation has written.
    const given = newId();
    expect(await bank.do(given, 'compensate')).toEqual({ outcome: 'empty' });
    await inTransaction('pardon', given);
    expect(await bank.do(given, 'action')).toEqual({ outcome: 'refused' });
    expect(await bank.effects(given)).toEqual([]);
  });

  test('an ongoing operation is completed or undone, never both, in either order', async () => {
    const barrier = new Barrier();
    const done: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      const name = { gid: newId(), branch: '01', op: 'action' } as const;
      await bank.runner.run({
        work: async ({ session }) => {
          await barrier.call(session, name, async () => undefined);
          await barrier.ongoing(session, name, 'ongoing');
        },
        timeoutMs: 60_000,
      });
      const answer = bank.runner.run({
        work: ({ session }) => barrier.end(session, name, 'done'),
        timeoutMs: 60_000,
      });
      const orders = [answer, bank.do(name.gid, 'compensate')] as const;
      const [stood, { outcome }] = await Promise.all(orders);
      expect([
        ['ongoing', 'done'],
        ['taken-back', 'empty'],
      ]).toContainEqual([stood, outcome]);
      expect(await bank.effects(name.gid)).toEqual(outcome === 'done' ? ['compensate'] : []);
      expect(await bank.do(name.gid, 'action')).toMatchObject({
        outcome: outcome === 'done' ? 'duplicate' : 'refused',
      });
      done.push(outcome);
    }
    expect(done).toHaveLength(20);
  });

  test('ending an ongoing operation waits for the running one, and for what undoes it', async () => {
    const barrier = new Barrier();
    const name = { gid: newId(), branch: '01', op: 'action' } as const;
    const answer = () =>
      bank.runner.run({ work: ({ session }) => barrier.end(session, name, 'done'), timeoutMs: 60_000 });
    const isWaiting = () =>
      waitUntil(
        async () =>
          (
            await bank.database.pool.query(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            )
          ).rows.length > 0,
        { describe: () => 'the end waits' },
      );
    let early: Promise<string> | undefined;
    await bank.runner.run({
      work: async ({ session }) => {
        await barrier.call(session, name, async () => undefined);
        await barrier.ongoing(session, name, 'ongoing');
        early = answer();
        early.catch(() => undefined);
        await isWaiting();
      },
      timeoutMs: 60_000,
    });
    expect(await early).toBe('ongoing');
    expect(await answer()).toBe('done');
    expect(await bank.do(name.gid, 'compensate')).toMatchObject({ outcome: 'done' });
  });

  test('confirm and msg undo nothing', async () => {
    const gid = newId();
    for (const op of ['confirm', 'msg'] as const)
      expect([await bank.do(gid, op), await bank.do(gid, op)]).toMatchObject([
        { outcome: 'done' },
        { outcome: 'duplicate' },
      ]);
  });

  test('failed work leaves no rows, even when its error is swallowed', async () => {
    const gid = newId();
    const failing = async (): Promise<never> => {
      throw new Error('no cover');
    };
    await expect(bank.do(gid, 'action', { meanwhile: failing })).rejects.toThrow('no cover');
    const swallowed = bank.runner.run({
      work: ({ handle }) =>
        bank.barrier.call(handle, { gid, branch: '01', op: 'action' }, failing).catch(() => undefined),
      timeoutMs: 60_000,
    });
    await swallowed.catch(() => undefined);
    expect(await bank.do(gid, 'action')).toMatchObject({ outcome: 'done' });
  });

  test('a compensation waits for the running action', async () => {
    const gid = newId();
    let letGo: () => void = () => undefined;
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const action = bank.do(gid, 'action', {
      meanwhile: () => {
        begin();
        return gate;
      },
    });
    await begun;
    const compensation = bank.do(gid, 'compensate');
    compensation.catch(() => undefined);
    await waitUntil(
      async () =>
        (
          await bank.database.pool.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).rows.length > 0,
      { describe: () => 'the compensation waits' },
    ).finally(letGo);
    expect(await action).toMatchObject({ outcome: 'done' });
    expect(await compensation).toMatchObject({ outcome: 'done' });
  });

  test('waits for the given time only, and leaves lock_timeout as it was', async () => {
    const gid = newId();
    const other = await bank.database.pool.connect();
    onTestEnd(() => other.release(true));
    await other.query('begin');
    const barrier = new Barrier({ waitMs: 50 });
    const action = { gid, branch: '01', op: 'action' } as const;
    await barrier.call(joined(other), action, async () => undefined);
    const timeoutOf = async (session: ReturnType<typeof joined>) =>
      session.run({ name: 'show', text: `select current_setting('lock_timeout') as t` } as never) as Promise<
        { t: string }[]
      >;
    const run = (op: 'action' | 'compensate', branch = '01') =>
      bank.runner.run({
        work: async ({ session }) => {
          const before = await timeoutOf(session);
          await barrier.call(session, { gid, branch, op }, async () => undefined);
          expect(await timeoutOf(session)).toEqual(before);
        },
        timeoutMs: 60_000,
      });
    const refusal = { code: 'TRANSACTION_CONFLICT', retryable: true };
    await expect(run('action')).rejects.toMatchObject(refusal);
    await expect(run('compensate')).rejects.toMatchObject(refusal);
    await run('action', '02');
    await other.query('commit');
    await run('action');
    await run('compensate');
  });

  test('compensations that race with each other and with the action never deadlock', async () => {
    for (let round = 0; round < 10; round += 1) {
      const gid = newId();
      const ops = ['compensate', 'compensate', 'action', 'compensate', 'action', 'compensate'] as const;
      const outcomes = await Promise.all(ops.map((op) => bank.do(gid, op)));
      const effects = await bank.effects(gid);
      expect([[], ['action', 'compensate']]).toContainEqual(effects);
      const first = outcomes.filter(({ outcome }) => outcome === 'done').length;
      expect(first).toBe(effects.length);
      expect(outcomes.some(({ outcome }) => outcome === 'empty')).toBe(effects.length === 0);
    }
  });
});

describe('a barrier', () => {
  let bank: Participant;
  beforeAll(async () => {
    bank = await Participant.create(testServerUrl());
  });
  afterAll(() => bank.close());

  test.each(['read committed', 'repeatable read', 'serializable'])(
    'under %s the later of two sees the first, or fails and is retried',
    async (level) => {
      const gid = newId();
      const [one, two] = [await bank.database.pool.connect(), await bank.database.pool.connect()];
      try {
        const call = (client: typeof one, op: 'action' | 'compensate') =>
          bank.barrier.call(client, { gid, branch: '01', op }, async () => {
            await client.query('insert into effect values ($1, $2, $3)', [op, '01', gid]);
          });
        await two.query(`begin isolation level ${level}`);
        await two.query('select count(*) from effect');
        await one.query('begin');
        expect(await call(one, 'compensate')).toEqual({ outcome: 'empty' });
        const late = call(two, 'action');
        late.catch(() => undefined);
        await one.query('commit');
        if (level === 'read committed') expect(await late).toEqual({ outcome: 'refused' });
        else {
          await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_CONFLICT', retryable: true });
          await two.query('rollback');
          await two.query(`begin isolation level ${level}`);
          expect(await call(two, 'action')).toEqual({ outcome: 'refused' });
        }
        await two.query('commit');
        expect(await bank.effects(gid)).toEqual([]);
      } finally {
        one.release(true);
        two.release(true);
      }
    },
  );

  test('refuses invalid names, and accepts those at the limits', async () => {
    const call = (gid: string, branch = '01', op = 'action') =>
      bank.runner.run({
        work: ({ session }) =>
          new Barrier().call(session, { gid, branch, op: op as 'action' }, async () => undefined),
        timeoutMs: 60_000,
      });
    const refused = { code: 'BARRIER_NAME_INVALID', retryable: false };
    const now = Date.now();
    for (const gid of [
      'order-1',
      '7f8b3c1e-5a52-4f0e-9f57-0a1f2f3a4b5c',
      idOf(now - 90 * DAY_MS - 60_000),
      idOf(now + DAY_MS + 60_000),
      '',
    ])
      await expect(call(gid)).rejects.toMatchObject(refused);
    await expect(call(newId(), '')).rejects.toMatchObject(refused);
    await expect(call(newId(), 'x'.repeat(256))).rejects.toMatchObject(refused);
    await expect(call(newId(), '01', 'undo')).rejects.toMatchObject(refused);
    await expect(call('order-1')).rejects.toThrow('newId()');
    for (const gid of [idOf(now - 90 * DAY_MS + 60_000), idOf(now + DAY_MS - 60_000)])
      expect(await call(gid)).toMatchObject({ outcome: 'done' });
    const short = new Barrier({ retentionMs: DAY_MS });
    const old = { gid: idOf(now - 2 * DAY_MS), branch: '01', op: 'action' } as const;
    const late = bank.runner.run({
      work: ({ session }) => short.call(session, old, async () => undefined),
      timeoutMs: 60_000,
    });
    await expect(late).rejects.toMatchObject(refused);
  });

  test('deletes what is older than 90 days in whole slots, and nothing that it would still accept', async () => {
    const { pool, session } = bank.database;
    const now = Date.now();
    await pool.query('truncate waybill.barrier, waybill.barrier_result');
    const ages = [0, 1, 30, 60, 80, 89, 92, 100, 105];
    const slots = new Map<number, number>();
    for (const days of ages) {
      const ms = now - days * DAY_MS;
      const slot = Math.floor(ms / (8 * DAY_MS)) % 16;
      slots.set(days, slot);
      const values = [slot, idOf(ms), '01', 'action', 'action'];
      await pool.query('insert into waybill.barrier values ($1, $2, $3, $4, $5)', values);
      await pool.query('insert into waybill.barrier_result values ($1, $2, $3, $4, $5)', values);
    }
    await new GuardRetention(session).runOnce();
    const left = async (table: string) =>
      (await pool.query<{ slot: number }>(`select slot from waybill.${table} order by 1`)).rows.map(
        ({ slot }) => slot,
      );
    // An operation that is too old stays while its slot holds one that is not.
    const young = new Set(ages.filter((days) => days <= 90).map((days) => slots.get(days)));
    const kept = ages.map((days) => Number(slots.get(days))).filter((slot) => young.has(slot));
    const expected = kept.toSorted((a, b) => a - b);
    expect(await left('barrier')).toEqual(expected);
    expect(await left('barrier_result')).toEqual(expected);
    expect(expected.length).toBeLessThan(ages.length);
  });

  test('locks only the slot of its gid, so that the others can be emptied in the meantime', async () => {
    const gid = newId();
    await bank.do(gid, 'action');
    await bank.do(gid, 'compensate');
    const client = await bank.database.pool.connect();
    try {
      await client.query('begin');
      for (const op of ['action', 'compensate'] as const)
        for (let n = 0; n < 8; n += 1)
          await bank.barrier.call(client, { gid, branch: '01', op }, async () => undefined);
      const { rows } = await client.query<{ name: string }>(
        `select distinct c.relname as name from pg_locks l join pg_class c on c.oid = l.relation
          where l.pid = pg_backend_pid() and c.relname ~ '^barrier.*_s[0-9]+$' order by 1`,
      );
      expect(new Set(rows.map(({ name }) => name.replace(/^.*_s/, ''))).size).toBe(1);
      await client.query('rollback');
    } finally {
      client.release();
    }
  });

  test('outside the transaction of the business rows is detected', async () => {
    const elsewhere = await Participant.create(testServerUrl());
    const other = await bank.database.pool.connect();
    try {
      await other.query('begin');
      const sameDatabase = new PgSession(other as unknown as PgQueryable);
      const { barrier, runner } = bank;
      await barrier.assertSharesConnection(runner);
      const refused = { code: 'CONFIGURATION_INVALID' };
      await expect(barrier.assertSharesConnection(runner, () => sameDatabase)).rejects.toMatchObject(refused);
      await expect(barrier.assertSharesConnection(runner, () => sameDatabase)).rejects.toThrow(
        'two transactions',
      );
      const foreign = () => elsewhere.database.session;
      await expect(barrier.assertSharesConnection(runner, foreign)).rejects.toThrow(
        'the business rows are in',
      );
      const split: TransactionRunner = {
        ...runner,
        kind: 'split',
        session: runner.session,
        run: (given) =>
          runner.run({ ...given, work: ({ handle }) => given.work({ session: sameDatabase, handle }) }),
      };
      await expect(barrier.assertSharesConnection(split)).rejects.toMatchObject(refused);
      await other.query('rollback');
    } finally {
      other.release();
      await elsewhere.close();
    }
  });
});

test('a check does not know about a half message that the barrier has deleted', async () => {
  const bank = await Participant.create(testServerUrl());
  try {
    const { session } = bank.database;
    const local = { name: 'bank', transactions: bank.runner, session };
    const mark = { name: 'bank', identity: await databaseIdentity(session), barrier: true };
    const ask = (days: number) => new LocalDatabases([local]).ask(idOf(Date.now() - days * DAY_MS), mark);
    expect(await ask(91)).toMatchObject({
      verdict: 'unknown',
      why: expect.stringContaining('remembers the last'),
    });
    expect(await ask(89)).toMatchObject({ verdict: 'rollback' });
  } finally {
    await bank.close();
  }
});

describe('a participant in another cluster', () => {
  let server: EmbeddedPostgres;
  let shop: Participant;
  let bank: Participant;
  beforeAll(async () => {
    server = await startPostgres();
    shop = await Participant.create(testServerUrl());
    bank = await Participant.create(server.connectionString, 'prisma');
  });
  afterAll(async () => {
    await shop.close();
    await bank.close();
    await server.stop();
  });

  test('guards its own operations of the same distributed transaction', async () => {
    const gid = newId();
    expect(await shop.do(gid, 'action')).toMatchObject({ outcome: 'done' });
    expect(await bank.do(gid, 'compensate', { branch: '02' })).toEqual({ outcome: 'empty' });
    expect(await shop.do(gid, 'compensate')).toMatchObject({ outcome: 'done' });
    expect(await bank.do(gid, 'action', { branch: '02' })).toEqual({ outcome: 'refused' });
    expect([await shop.effects(gid), await bank.effects(gid)]).toEqual([['action', 'compensate'], []]);
    const foreign = () => bank.database.session;
    await expect(shop.barrier.assertSharesConnection(shop.runner, foreign)).rejects.toThrow(
      'the business rows are in',
    );
  });
});
