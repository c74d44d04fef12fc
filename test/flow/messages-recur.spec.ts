import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Recurring, type TimerService } from '@waybill/schedule';
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
  const arrived = async (count: number): Promise<LoggedRecord[]> => {
    await waitUntil(async () => (await fixture.log()).length >= count, {
      describe: `${count} runs`,
      timeoutMs: 10_000,
    });
    return fixture.log();
  };
  /** As if nobody had fired timers since then. */
  const letTimePass = (name: string, ms: number): Promise<unknown> =>
    fixture.database.pool.query(
      `update waybill.timer set due_at = due_at - $2 * interval '1 ms',
              headers = jsonb_set(headers, '{runAtMs}', to_jsonb((headers->>'runAtMs')::bigint - $2))
        where token = $1`,
      [name, ms],
    );
  const pending = (): Promise<number> => fixture.value('select count(*)::int from waybill.timer');

  test('is published again and again, each run once, and says which run it is', async () => {
    service.start();
    expect(await recurring.put('pulse', { topic: 'orders', key: 'k', payload: { n: 1 }, everyMs: 150 })).toBe(
      true,
    );
    const records = (await arrived(4)).slice(0, 4);
    const runs = records.map(({ headers }) => Date.parse(headers['run-at'] ?? ''));
    for (let index = 1; index < runs.length; index += 1)
      expect((runs[index] ?? 0) - (runs[index - 1] ?? 0)).toBe(150);
    expect(new Set(records.map(({ id }) => id)).size).toBe(4);
    expect(records[0]).toMatchObject({ key: 'k', payload: { n: 1 } });
    expect(await pending()).toBe(1);
  });

  test('keeps its next run when it is defined again as it was, and not when it is changed', async () => {
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

  test('stops when it is removed, and cannot be cancelled as a scheduled message', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 1_000 });
    const { timers } = timersOf(fixture);
    expect(await timers.cancel({ token: 'pulse' })).toBe(0);
    expect(await recurring.remove('pulse')).toBe(true);
    expect(await recurring.remove('pulse')).toBe(false);
    await letTimePass('pulse', 2_000);
    await fireAll();
    expect(await fixture.log()).toEqual([]);
    expect(await pending()).toBe(0);
  });

  test('a timer of an earlier definition does nothing', async () => {
    await recurring.put('pulse', { topic: 'orders', payload: { n: 1 }, everyMs: 60_000 });
    const taking = await fixture.database.pool.connect();
    await taking.query('begin');
    await taking.query('select * from waybill.timer for update');
    // The old timer is just being fired, so it is left where it is; nobody waits.
    await recurring.put('pulse', { topic: 'orders', payload: { n: 2 }, everyMs: 90_000 });
    await taking.query('rollback');
    taking.release();
    expect(await pending()).toBe(2);
    await letTimePass('pulse', 91_000);
    await fireAll();
    expect((await fixture.log()).map(({ payload }) => payload.n)).toEqual([2]);
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
    const records = await fixture.log();
    expect(records).toHaveLength(expected);
    const runs = records.map(({ headers }) => Date.parse(headers['run-at'] ?? ''));
    expect(runs.every((run, index) => index === 0 || run - (runs[index - 1] ?? 0) === 120_000)).toBe(true);
    const [definition] = await recurring.list();
    expect(definition?.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
  });

  test('is refused when it cannot be: name, topic, both kinds of recurrence', async () => {
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
