import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Recurring, type TimerService } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import { Fixture, type LoggedRecord } from '../support/fixture.js';
import { timersOf } from '../support/timers.js';

describe('a recurring message', () => {
  let fixture: Fixture;
  let service: TimerService;
  let recurring: Recurring;
  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
    ({ service } = timersOf(fixture));
    recurring = new Recurring(fixture.database.session, (one) => fixture.outbox.encode(one), service);
  });
  afterEach(async () => {
    await service.stop();
    await fixture.close();
  });

  const fireAll = async (): Promise<void> => {
    while ((await service.runOnce()) === 'again');
  };
  /** By a service that has not looked before: otherwise only its next sweep would find what the test makes due. */
  const fireAfresh = async (): Promise<void> => {
    const { service: fresh } = timersOf(fixture);
    while ((await fresh.runOnce()) === 'again');
    await fresh.stop();
  };
  const arrived = async (count: number): Promise<LoggedRecord[]> => {
    await waitUntil(async () => (await fixture.sentLog()).length >= count, {
      describe: `${count} runs`,
      timeoutMs: 10_000,
    });
    return fixture.sentLog();
  };
  /** As if no process had fired timers since then. */
  const letTimePass = (name: string, ms: number): Promise<unknown> =>
    fixture.database.pool.query(
      `update waybill.timer set due_at = due_at - $2 * interval '1 ms',
              headers = jsonb_set(headers, '{runAtMs}', to_jsonb((headers->>'runAtMs')::bigint - $2))
        where token = $1`,
      [name, ms],
    );
  const pending = (): Promise<number> => fixture.value('select count(*)::int from waybill.timer');

  test('is published repeatedly, each run once, and says which run it is', async () => {
    service.start();
    // All of them, however late this process is: by default one run stands for those that were missed.
    const pulse = { topic: 'orders', key: 'k', payload: { n: 1 }, everyMs: 150, missed: 'all' } as const;
    expect(await recurring.put('pulse', pulse)).toBe(true);
    const records = (await arrived(4)).slice(0, 4);
    const runs = records.map(({ headers }) => Date.parse(headers['run-at'] ?? ''));
    for (let index = 1; index < runs.length; index += 1)
      expect((runs[index] ?? 0) - (runs[index - 1] ?? 0)).toBe(150);
    expect(new Set(records.map(({ id }) => id)).size).toBe(4);
    expect(records[0]).toMatchObject({ key: 'k', payload: { n: 1 } });
    expect(await pending()).toBe(1);
  });

  test('keeps its next run when it is redefined unchanged, and not when it is changed', async () => {
    const nightly = { topic: 'orders', payload: { n: 1 }, cron: '0 3 * * *', timeZone: 'Europe/Berlin' };
    await recurring.put('report', { ...nightly, headers: { a: 'b' } });
    const [first] = await recurring.list();
    expect(first).toMatchObject({
      name: 'report',
      recurrence: { cron: '0 3 * * *', timeZone: 'Europe/Berlin' },
      missed: 'one',
    });
    expect(first?.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
    await letTimePass('report', 1_000);
    expect(await recurring.put('report', { ...nightly, headers: { a: 'b' } })).toBe(false);
    expect((await recurring.list())[0]?.nextRunAt?.getTime()).toBe(
      (first?.nextRunAt?.getTime() ?? 0) - 1_000,
    );
    expect(await recurring.put('report', { ...nightly, cron: '0 4 * * *' })).toBe(true);
    expect((await recurring.list())[0]?.nextRunAt?.getTime()).not.toBe(first?.nextRunAt?.getTime());
    expect(await pending()).toBe(1);
  });

  test('keeps a due run when its content is changed, and publishes it with the new content', async () => {
    const pulse = { topic: 'orders', everyMs: 60_000 };
    await recurring.put('pulse', { ...pulse, payload: { n: 1 } });
    for (const n of [2, 3]) expect(await recurring.put('pulse', { ...pulse, payload: { n } })).toBe(true);
    await letTimePass('pulse', 61_000);
    const next = (await recurring.list())[0]?.nextRunAt;
    await recurring.put('pulse', {
      ...pulse,
      payload: { n: 4 },
      headers: { a: 'b' },
      key: 'k',
      missed: 'all',
    });
    expect((await recurring.list())[0]?.nextRunAt).toEqual(next);
    expect(await pending()).toBe(1);
    await fireAfresh();
    expect(await fixture.sentLog()).toMatchObject([{ payload: { n: 4 }, key: 'k', headers: { a: 'b' } }]);
    expect(await pending()).toBe(1);
  });

  test('keeps a due run when its schedule is changed, and continues on the new schedule', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 60_000 });
    await letTimePass('pulse', 60_500);
    await recurring.put('pulse', { topic: 'orders', payload: { n: 2 }, everyMs: 90_000 });
    await fireAfresh();
    expect((await fixture.sentLog()).map(({ payload }) => payload.n)).toEqual([2]);
    expect((await recurring.list())[0]?.nextRunAt?.getTime()).toBeGreaterThan(Date.now() + 80_000);
    expect(await pending()).toBe(1);
    await letTimePass('pulse', 91_000);
    await fireAfresh();
    expect((await fixture.sentLog()).map(({ payload }) => payload.n)).toEqual([2, 2]);
  });

  test('publishes a run that is firing while its schedule is changed', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 60_000 });
    await letTimePass('pulse', 60_500);
    // Between the claim and the lookup of the definition.
    const blocker = await fixture.database.pool.connect();
    await blocker.query('begin');
    await blocker.query('lock table waybill.recurring_message in access exclusive mode');
    const firing = service.runOnce();
    const isFiring = (): Promise<boolean> =>
      fixture.value<boolean>(
        `select exists (select from pg_locks where relation = 'waybill.recurring_message'::regclass and not granted)`,
      );
    await waitUntil(isFiring, { describe: 'a pass waits for the definitions' });
    await blocker.query(
      `select waybill.recurring_put('pulse', 'orders', null, null, null, convert_to('{"n": 2}', 'UTF8'), null, null,
                                    90000, 'one', $1)`,
      [Date.now() + 90_000],
    );
    await blocker.query('commit');
    blocker.release();
    await firing;
    await fireAfresh();
    expect((await fixture.sentLog()).map(({ payload }) => payload.n)).toEqual([2]);
    expect(await pending()).toBe(1);
  });

  test.each([
    ['two intervals', { everyMs: 60_000 }, { everyMs: 90_000 }],
    ['a cron expression and an interval', { cron: '0 3 * * *' }, { everyMs: 90_000 }],
    ['two cron expressions', { cron: '0 3 * * *' }, { cron: '0 4 * * *' }],
  ])('reaches its runs although deploys repeatedly change it between %s', async (_, one, other) => {
    const base = { topic: 'orders', payload: { n: 1 } };
    let passedMs = 0;
    for (let deploys = 0; passedMs < 2 * 86_400_000; deploys += 1) {
      await recurring.put('pulse', { ...base, ...(deploys % 2 === 0 ? one : other) });
      // Always short of the next run, so that none becomes due by itself.
      const { nextRunAt } = (await recurring.list())[0] ?? {};
      const stepMs = Math.max(1_000, (nextRunAt?.getTime() ?? 0) - Date.now() - 1_000);
      await letTimePass('pulse', stepMs);
      passedMs += stepMs;
      await fireAfresh();
      if ((await fixture.sentLog()).length > 0) return;
    }
    expect('it never ran').toBe('it ran');
  });

  test('whose next run cannot be computed still publishes the due one, and delays no other', async () => {
    const pulse = { topic: 'orders', payload: { n: 1 }, cron: '0 3 * * *' };
    await recurring.put('broken', pulse);
    await recurring.put('sound', { topic: 'orders', payload: { n: 2 }, everyMs: 60_000 });
    await fixture.database.pool.query(
      `update waybill.recurring_message set cron = '0 0 30 2 *' where name = 'broken'`,
    );
    await letTimePass('broken', 25 * 3_600_000);
    await letTimePass('sound', 61_000);
    await fireAfresh();
    expect((await fixture.sentLog()).map(({ payload }) => payload.n).toSorted((a, b) => a - b)).toEqual([
      1, 2,
    ]);
    const nextRuns = async (): Promise<Record<string, Date | null>> =>
      Object.fromEntries((await recurring.list()).map(({ name, nextRunAt }) => [name, nextRunAt]));
    expect(await nextRuns()).toMatchObject({ broken: null, sound: expect.any(Date) });
    await recurring.put('broken', pulse);
    expect(await nextRuns()).toMatchObject({ broken: expect.any(Date) });
    // Nothing has changed, and yet there is no next run: so it was parked.
    await fixture.database.pool.query(`delete from waybill.timer where token = 'broken'`);
    expect(await recurring.put('broken', pulse)).toBe(false);
    expect(await nextRuns()).toMatchObject({ broken: expect.any(Date) });
  });

  test('stops when it is removed, and cannot be cancelled as a scheduled message', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 1_000 });
    const { timers } = timersOf(fixture);
    expect(await timers.cancel({ token: 'pulse' })).toBe(0);
    expect(await recurring.remove('pulse')).toBe(true);
    expect(await recurring.remove('pulse')).toBe(false);
    await letTimePass('pulse', 2_000);
    await fireAll();
    expect(await fixture.sentLog()).toEqual([]);
    expect(await pending()).toBe(0);
  });

  test('has no effect from a timer of an earlier definition', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 60_000 });
    const taking = await fixture.database.pool.connect();
    await taking.query('begin');
    await taking.query('select * from waybill.timer for update');
    // The old timer is firing, so it is left where it is; no process waits.
    await recurring.put('pulse', { topic: 'orders', payload: { n: 2 }, everyMs: 90_000 });
    await taking.query('rollback');
    taking.release();
    expect(await pending()).toBe(2);
    await letTimePass('pulse', 91_000);
    await fireAll();
    expect((await fixture.sentLog()).map(({ payload }) => payload.n)).toEqual([2]);
    expect(await pending()).toBe(1);
  });

  test.each([
    ['skip', 0],
    ['one', 1],
    ['all', 2_401],
  ] as const)('with missed: %s makes %i of 2,401 missed runs', async (missed, expected) => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 120_000, missed });
    await letTimePass('pulse', 120_000 * 2_401 + 90_000);
    await fireAll();
    const records = await fixture.sentLog();
    expect(records).toHaveLength(expected);
    const runs = records.map(({ headers }) => Date.parse(headers['run-at'] ?? ''));
    expect(runs.every((run, index) => index === 0 || run - (runs[index - 1] ?? 0) === 120_000)).toBe(true);
    const [definition] = await recurring.list();
    expect(definition?.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
  });

  test('is refused when it is invalid: name, topic, both kinds of recurrence', async () => {
    const base = { topic: 'orders', payload: { n: 1 } };
    for (const [name, definition] of [
      ['a b', { ...base, everyMs: 5 }],
      ['x', base],
      ['x', { ...base, everyMs: 5, cron: '* * * * *' }],
      ['x', { ...base, everyMs: 5, timeZone: 'UTC' }],
      ['x', { ...base, cron: 'now' }],
    ] as const)
      await expect(recurring.put(name, definition)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    await expect(recurring.put('x', { ...base, topic: 'nowhere', everyMs: 5 })).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
    });
  });
});
