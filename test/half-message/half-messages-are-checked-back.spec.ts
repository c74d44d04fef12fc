import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { CheckBack, HalfMessageVerdict, HalfToCheck } from '@waybill/half-message';
import { PgDatabase } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import pg from 'pg';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { HalfFloor, order } from '../support/half-operations.js';

let fixture: Fixture;
let floor: HalfFloor;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: {}, invoices: {} });
  floor = new HalfFloor(fixture, undefined, { checkImmunityMs: 0 });
});
afterEach(() => fixture.close());

const delivered = async (): Promise<number[]> => numbersOf(await fixture.sentLog());
const numberOf = ({ messages }: HalfToCheck): number =>
  (messages[0]?.payload as { n: number } | undefined)?.n ?? -1;

describe('a half message that was left open', () => {
  test('is committed or rolled back as its check says; the check sees all of it', async () => {
    const seen: HalfToCheck[] = [];
    const { id } = await floor.halves.prepare([
      { ...order(1, 'k'), headers: { by: 'ann' } },
      { topic: 'invoices', payload: { n: 5 } },
    ]);
    const rolledBack = await floor.halves.prepare(order(2));
    const checker = floor.checker({
      groupCheck: async (half) => {
        seen.push(half);
        return half.id === id ? 'commit' : 'rollback';
      },
    });
    expect(await checker.runOnce()).toBe('again');
    expect(await checker.runOnce()).toBe('idle');
    expect(await delivered()).toEqual([1]);
    expect(numbersOf(await fixture.sentLog('invoices'))).toEqual([5]);
    expect(seen.find((half) => half.id === id)).toMatchObject({
      group: 'payments',
      checks: 0,
      messages: [
        { topic: 'orders', key: 'k', headers: { by: 'ann' }, payload: { n: 1 } },
        { topic: 'invoices', payload: { n: 5 } },
      ],
    });
    expect(await floor.operations.show(rolledBack.id)).toMatchObject({
      state: 'rolled-back',
      decidedBy: 'check',
    });
    expect(checker.counts).toMatchObject({ commit: 1, rollback: 1, unknown: 0, unanswered: 0 });
    expect(await floor.halves.commit(id)).toBe('already');
    await expect(floor.halves.commit(rolledBack.id)).rejects.toMatchObject({ code: 'HALF_MESSAGE_DECIDED' });
  });

  test('is checked by the check of its topic, else by that of its group', async () => {
    const asked: string[] = [];
    const checks = new Map<string, CheckBack>([['invoices', () => (asked.push('invoices'), 'rollback')]]);
    const checker = floor.checker({ checks, groupCheck: () => (asked.push('group'), 'rollback') });
    await floor.halves.prepare([order(1), { topic: 'invoices', payload: { n: 2 } }]);
    await checker.runOnce();
    await floor.halves.prepare(order(3));
    await checker.runOnce();
    expect(asked).toEqual(['invoices', 'group']);
  });

  test('is not checked during its immunity, nor by any other group', async () => {
    await floor.halves.prepare(order(1), { checkImmunityMs: 60_000 });
    const check: CheckBack = () => 'commit';
    expect(await floor.checker({ groupCheck: check }).runOnce()).toBe('idle');
    await floor.makeDue();
    expect(await floor.checker({ groupCheck: check, group: 'others' }).runOnce()).toBe('idle');
    expect(await floor.checker({ groupCheck: check }).runOnce()).toBe('again');
    expect(await delivered()).toEqual([1]);
  });

  test('is undecided after checkMax verdicts UNKNOWN; checks that throw, hang or are missing do not count', async () => {
    const { id } = await floor.halves.prepare(order(1), { checkMax: 3, checkIntervalMs: 40_000 });
    const answers: CheckBack[] = [
      () => 'unknown',
      () => Promise.reject(new Error('no connection')),
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('commit'))),
      (() => 'perhaps') as unknown as CheckBack,
      () => 'unknown',
    ];
    const errors: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (message: string) => void errors.push(message),
    };
    const parts = { logger, groupCheck: ((half) => answers.shift()?.(half)) as CheckBack };
    const checker = floor.checker(parts, { checkTimeoutMs: 50 });
    const expected = [40, 1, 2, 4, 80].map((seconds) => seconds * 1_000);
    for (const turn of upTo(5)) {
      await floor.makeDue();
      const before = Date.now();
      await checker.runOnce();
      const { checks, nextCheckAt, state } = await floor.operations.show(id);
      expect({ turn, checks, state }).toEqual({ turn, checks: turn < 4 ? 1 : 2, state: 'prepared' });
      const next = (nextCheckAt?.getTime() ?? 0) - (expected[turn] ?? 0);
      // The database's clock is read to the microsecond, and stored to the millisecond.
      expect(next).toBeGreaterThanOrEqual(before - 1);
      expect(next).toBeLessThanOrEqual(Date.now() + 1);
    }
    await floor.makeDue();
    await floor.checker().runOnce();
    expect(await floor.operations.show(id)).toMatchObject({
      checks: 2,
      lastResult: 'unanswered: this process has no check for it',
    });
    answers.push(() => 'unknown');
    await floor.makeDue();
    await checker.runOnce();
    expect(await floor.operations.show(id)).toMatchObject({
      state: 'undecided',
      checks: 3,
      lastResult: 'unknown',
    });
    expect(errors).toEqual([expect.stringContaining(`half message ${id} is undecided`)]);
    expect(checker.counts).toMatchObject({ unknown: 3, unanswered: 3, undecided: 1, commit: 0 });
    await floor.makeDue();
    expect(await checker.runOnce()).toBe('idle');
    expect(await floor.operations.stats()).toMatchObject({ open: 1, undecided: 1 });
    expect(await floor.halves.commit(id)).toBe('done');
    expect(await delivered()).toEqual([1]);
  });

  test('is undecided when its deadline is past and a check gives no verdict', async () => {
    const { id } = await floor.halves.prepare(order(1), { deadlineMs: 1 });
    await waitUntil(async () => (await floor.checker().runOnce()) === 'again', { describe: 'it is due' });
    expect(await floor.operations.show(id)).toMatchObject({ state: 'undecided', checks: 0 });
  });

  test('is undecided when its checks have failed for a day, and is never decided because of that', async () => {
    const { id } = await floor.halves.prepare(order(1));
    const checker = floor.checker({
      groupCheck: () => {
        throw Object.assign(new Error('the account of Ada Lovelace is locked'), { code: 'E_LOCKED' });
      },
    });
    const fail = async (times: number): Promise<void> => {
      for (let n = 0; n < times; n += 1) {
        await floor.makeDue();
        await checker.runOnce();
      }
    };
    const age = (hours: number) =>
      fixture.database.pool.query(
        `update waybill.half_message set failing_since = failing_since - $1 * interval '1 hour'`,
        [hours],
      );
    await fail(1);
    await age(30);
    // One that no process has checked for a day is checked again first.
    await fail(8);
    expect(await floor.operations.show(id)).toMatchObject({ state: 'prepared' });
    expect(await floor.operations.trouble()).toEqual({
      oldestUndecidedAgeMs: null,
      failing: 1,
      oldestFailingMs: expect.any(Number),
      lastFailure: 'E_LOCKED',
    });
    await fail(1);
    expect(await floor.operations.show(id)).toMatchObject({
      state: 'undecided',
      lastResult: expect.stringContaining('unanswered'),
    });
    expect(checker.counts).toMatchObject({ unanswered: 10, undecided: 1, commit: 0, rollback: 0 });
    const trouble = await floor.operations.trouble();
    expect(trouble).toMatchObject({ failing: 0, lastFailure: 'E_LOCKED' });
    expect(trouble.oldestUndecidedAgeMs).toBeGreaterThanOrEqual(0);
    expect(await delivered()).toEqual([]);
    await floor.operations.check(id, { by: 'ada' });
    expect(await floor.operations.trouble()).toMatchObject({ failing: 0, lastFailure: null });
    await floor.checker({ groupCheck: () => 'commit' }).runOnce();
    expect(await delivered()).toEqual([1]);
  });

  test.each([
    ['a verdict in between restarts the time', {}, ['unknown'], 'prepared'],
    ['it may be switched off', { undecidedAfterMs: 0 }, [], 'prepared'],
    ['it may be shorter', { undecidedAfterMs: 60_000 }, [], 'undecided'],
  ] as const)('with checks that fail: %s', async (_what, options, between, state) => {
    const { id } = await floor.halves.prepare(order(1));
    const answers: HalfMessageVerdict[] = [];
    const groupCheck = (): HalfMessageVerdict => {
      const [answer] = answers.splice(0);
      if (answer === undefined) throw new TypeError('no');
      return answer;
    };
    const checker = floor.checker({ groupCheck }, options);
    const ask = async (times: number): Promise<void> => {
      for (let n = 0; n < times; n += 1) {
        await floor.makeDue();
        await checker.runOnce();
      }
    };
    await ask(12);
    await fixture.database.pool.query(
      `update waybill.half_message set failing_since = failing_since - interval '23 hours'`,
    );
    answers.push(...between);
    await ask(2);
    expect(await floor.operations.show(id)).toMatchObject({ state });
    expect(await floor.operations.trouble()).toMatchObject({ lastFailure: 'TypeError' });
  });

  test('waits for hours without a process of its group, and loses nothing', async () => {
    for (const n of upTo(30)) await floor.halves.prepare(order(n), { checkMax: 1 });
    await fixture.database.pool.query(
      `update waybill.half_message set prepared_at = prepared_at - interval '1 hour',
                                       next_check_at = next_check_at - interval '1 hour'`,
    );
    expect((await floor.operations.stats()).oldestOpenAgeMs).toBeGreaterThan(3_500_000);
    const checker = floor.checker({ groupCheck: (half) => (numberOf(half) % 2 ? 'commit' : 'rollback') });
    checker.start();
    await waitUntil(async () => (await floor.operations.stats()).open === 0, { describe: 'all are decided' });
    await checker.stop();
    expect(await delivered()).toEqual(upTo(30).filter((n) => n % 2));
  });

  test('is checked once by many checkers, and hanging checks do not block others', async () => {
    const asked = new Map<number, number>();
    const groupCheck: CheckBack = (half) => {
      const n = numberOf(half);
      asked.set(n, (asked.get(n) ?? 0) + 1);
      return n === 0 ? new Promise(() => undefined) : 'commit';
    };
    for (const n of upTo(200)) await floor.halves.prepare(order(n));
    const checkers = upTo(4).map(() => floor.checker({ groupCheck }, { checkTimeoutMs: 60_000, pollMs: 20 }));
    for (const checker of checkers) checker.start();
    await waitUntil(async () => (await floor.operations.stats()).open === 1, {
      describe: 'all but one are decided',
    });
    expect((await floor.operations.list({ states: ['checking'] })).length).toBe(1);
    await Promise.all(checkers.map((checker) => checker.stop()));
    expect([...asked.values()].every((times) => times === 1)).toBe(true);
    expect(await floor.operations.list()).toMatchObject([{ state: 'prepared', checks: 0 }]);
    expect(await delivered()).toEqual(upTo(200).filter((n) => n > 0));
  });

  test('needs one connection for each verdict: as many as the pool has do not wait for another one', async () => {
    const few = new PgDatabase({ connectionString: fixture.url, connectionsMax: 3 });
    const { store } = floor.halvesOf(few);
    for (const n of upTo(16)) await floor.halves.prepare(order(n));
    const checker = floor.checker({ database: few, store, groupCheck: () => 'commit' });
    try {
      await checker.runOnce();
      expect(checker.counts.commit).toBe(16);
      expect(await delivered()).toEqual(upTo(16));
    } finally {
      await few.close();
    }
  });

  test('refuses the late verdict of a checker whose claim has lapsed', async () => {
    const { id } = await floor.halves.prepare(order(1));
    let answer: (verdict: HalfMessageVerdict) => void = () => undefined;
    const waiting: CheckBack = () => new Promise<HalfMessageVerdict>((resolve) => (answer = resolve));
    const slow = floor.checker({ groupCheck: waiting });
    const slowPass = slow.runOnce();
    await waitUntil(async () => (await floor.operations.show(id)).state === 'checking', {
      describe: 'it is claimed',
    });
    await floor.makeDue();
    const other = floor.checker({ groupCheck: () => 'unknown' });
    await other.runOnce();
    answer('rollback');
    await slowPass;
    expect(slow.counts).toMatchObject({ rollback: 0, fenced: 1 });
    expect(await floor.operations.show(id)).toMatchObject({ state: 'prepared', checks: 1 });
    await floor.makeDue();
    const late = slow.runOnce();
    await waitUntil(async () => (await floor.operations.show(id)).state === 'checking', {
      describe: 'it is claimed',
    });
    await floor.makeDue();
    await other.runOnce();
    answer('unknown');
    await late;
    expect(slow.counts).toMatchObject({ fenced: 2 });
    expect(await floor.operations.show(id)).toMatchObject({ state: 'prepared', checks: 2 });
    const unknowing = floor.checker({ groupCheck: waiting });
    await floor.makeDue();
    const pass = unknowing.runOnce();
    await waitUntil(async () => (await floor.operations.show(id)).state === 'checking', {
      describe: 'it is claimed',
    });
    expect(await floor.halves.commit(id)).toBe('done');
    answer('unknown');
    await pass;
    expect(unknowing.counts).toMatchObject({ fenced: 1 });
    expect(await delivered()).toEqual([1]);
  });

  test('is checked again when the database was lost during its verdict', async () => {
    await floor.halves.prepare(order(1));
    const checker = floor.checker(
      {
        groupCheck: async (): Promise<HalfMessageVerdict> => {
          await fixture.database.pool
            .query(
              `select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()`,
            )
            .catch(() => undefined);
          return 'commit';
        },
      },
      { pollMs: 20 },
    );
    checker.start();
    await waitUntil(
      async () => {
        if ((await delivered()).length === 1) return true;
        await floor.makeDue();
        return false;
      },
      { describe: 'it is delivered' },
    );
    await checker.stop();
    expect(await delivered()).toEqual([1]);
  });
});

test('a claim reads only what it takes, among 100,000 open halves and after 50,000 due ones of another group', async () => {
  await fixture.database.pool.query(
    `insert into waybill.half_message (id, producer_group, next_check_at, check_interval_ms, check_max, messages, payloads)
     select gen_random_uuid(), case when n <= 50000 then 'away' else 'payments' end,
            clock_timestamp() + case when n <= 50000 then -1 else 1 end * interval '1 hour' * random(), 30000, 15,
            jsonb_build_array(jsonb_build_object('id', gen_random_uuid(), 'topic', 'orders', 'payload', n)),
            array[convert_to(n::text, 'UTF8')] from generate_series(1, 100000) n`,
  );
  for (const n of upTo(40)) await floor.halves.prepare(order(n));
  const checker = floor.checker({ groupCheck: () => 'unknown' }, { concurrency: 10 });
  const watcher = new pg.Client(fixture.url);
  await watcher.connect();
  // A session reports its statistics when it ends: the only moment that is the same in all versions of PostgreSQL.
  const reads = async (): Promise<{ scans: number; rows: number }> => {
    const others = `from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    await watcher.query(`select pg_terminate_backend(pid) ${others}`);
    await waitUntil(
      async () => {
        const { rows } = await watcher.query<{ n: number }>(`select count(*)::int as n ${others}`);
        return rows[0]?.n === 0 && fixture.database.pool.totalCount === 0;
      },
      { describe: 'the other sessions have ended' },
    );
    const { rows } = await watcher.query<{ scans: number; rows: number }>(
      `select t.seq_scan::int as scans, i.idx_tup_read::int as rows from pg_stat_all_tables t
         join pg_stat_all_indexes i using (relid) where i.indexrelname = 'half_message_due'`,
    );
    return rows[0] ?? { scans: -1, rows: -1 };
  };
  const before = await reads();
  for (const _ of upTo(4)) await checker.runOnce();
  await waitUntil(async () => (await reads()).rows > before.rows, {
    describe: 'the statistics have arrived',
  });
  const after = await reads();
  await watcher.end();
  expect(checker.counts.unknown).toBe(40);
  expect(after.scans).toBe(before.scans);
  expect(after.rows - before.rows).toBeLessThan(200);
});
