import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { newId, silentLogger, systemClock } from '@waybill/kernel';
import { TimerUpkeep } from '../../libs/timer/src/timer-upkeep.js';
import { waitUntil } from '@waybill/testing';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { message, timersOf } from '../support/timers.js';

describe('timers', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
  });
  afterEach(() => fixture.close());

  const slots = (): Promise<number[]> =>
    fixture.value('select array_agg(slot::int order by due_at, id) from waybill.timer');
  const upkeep = (found: (dueMs: number) => void = () => {}): TimerUpkeep =>
    new TimerUpkeep(fixture.database, [1, 2], found, systemClock, silentLogger);

  test('fire in order of due time, then of scheduling, a bounded number per pass', async () => {
    const { timers, service } = timersOf(fixture, undefined, { passTimers: 4 });
    // Those in the past are due at once, in the order of scheduling.
    const now = Date.now();
    for (const n of [5, 6, 7, 8, 9]) await timers.schedule(message(n), { dueAt: new Date(now + 1_500) });
    for (const n of [0, 1, 2, 3, 4]) await timers.schedule(message(n), { dueAt: new Date(now - 5_000) });
    await waitUntil(async () => (await timers.stats()).due === 10, { describe: 'all are due' });
    expect(await service.runOnce()).toBe('again');
    expect(await fixture.sentLog()).toHaveLength(4);
    while ((await service.runOnce()) === 'again');
    expect((await fixture.sentLog()).map(({ payload }) => payload.n)).toEqual(upTo(10));
    expect(service.status.fired).toBe(10);
  });

  test('are stored in far slots until they come near, and are found there when no process has moved them', async () => {
    const { timers, service } = timersOf(fixture);
    await timers.schedule(message(0), { delayMs: 7 * 3_600_000 });
    await timers.schedule(message(1), { delayMs: 3_600_000 });
    expect((await slots())[1]).toBe(8);
    expect((await slots())[0]).toBeLessThan(8);
    // Time passes: what was far is near, and what was near is due.
    await fixture.database.pool.query(`update waybill.timer set due_at = due_at - interval '5 hours'`);
    await upkeep().runOnce();
    expect((await slots()).every((slot) => slot < 8)).toBe(true);
    while ((await service.runOnce()) === 'again');
    expect(numbersOf(await fixture.sentLog())).toEqual([1]);
    await timers.schedule(message(2), { delayMs: 7 * 3_600_000 });
    await fixture.database.pool.query(`update waybill.timer set due_at = due_at - interval '9 hours'`);
    // A process that has just been started looks at everything.
    const { service: started } = timersOf(fixture);
    while ((await started.runOnce()) === 'again');
    expect(numbersOf(await fixture.sentLog())).toEqual([0, 1, 2]);
  });

  test('are truncated slot by slot: a slot that is past and empty is, one with a timer is not', async () => {
    const past = await fixture.value<number>(
      `select ((floor(extract(epoch from clock_timestamp()) / 3600)::bigint - 1) % 8)::int`,
    );
    const size = (): Promise<number> =>
      fixture.value(`select pg_relation_size('waybill.timer_s${past}')::int`);
    const insert = (): Promise<unknown> =>
      fixture.database.pool.query(
        `insert into waybill.timer (slot, due_at, kind, message_id, topic)
         values ($1, clock_timestamp() + interval '1 hour', 1, gen_random_uuid(), 'orders')`,
        [past],
      );
    await insert();
    await upkeep().runOnce();
    expect(await size()).toBeGreaterThan(0);
    await fixture.database.pool.query('delete from waybill.timer');
    // A transaction is inserting into it: it is left for the next pass.
    const busy = await fixture.database.pool.connect();
    await busy.query('begin');
    await busy.query(`insert into waybill.timer (slot, due_at, kind) values (${past}, clock_timestamp(), 1)`);
    await upkeep().runOnce();
    expect(await size()).toBeGreaterThan(0);
    await busy.query('rollback');
    busy.release();
    await upkeep().runOnce();
    expect(await size()).toBe(0);
  });

  test('that are committed long after their time are found by the sweep', async () => {
    const { timers, service } = timersOf(fixture);
    const late = await fixture.database.pool.connect();
    await late.query('begin');
    await late.query(
      `select * from waybill.timer_schedule(array[$1::uuid], array[null], array['orders'], array[null::int],
         array[null], array[null], array[convert_to('{"n": 1}', 'UTF8')], array[0::bigint])`,
      [newId()],
    );
    await timers.schedule(message(0), { delayMs: 2_500 });
    await waitUntil(
      async () => {
        while ((await service.runOnce()) === 'again');
        return service.status.fired === 1;
      },
      { describe: 'the later one has been fired' },
    );
    await late.query('commit');
    late.release();
    expect(await service.runOnce()).toBe('idle');
    let found = 0;
    await upkeep((dueMs) => {
      found = dueMs;
    }).runOnce();
    expect(found).toBeGreaterThan(0);
    service.start();
    await waitUntil(() => service.status.fired === 2, { describe: 'the sweep finds it', timeoutMs: 10_000 });
    await service.stop();
    expect(numbersOf(await fixture.sentLog())).toEqual([0, 1]);
  });

  test('that are cancelled never fire, and those that fired were not cancelled', async () => {
    const { timers, service } = timersOf(fixture, undefined, { passTimers: 7 });
    service.start();
    const cancelled = new Set<number>();
    const count = 400;
    const scheduled = upTo(count).map((n) => ({ ...message(n), n }));
    await Promise.all(
      scheduled.map(async ({ n, ...timer }) => {
        const due = await timers.schedule(timer, { delayMs: 200 + n });
        // However slow the machine is, some come in time and some late: the first ones at once, the last ones when some have fired.
        if (n % 9 === 8) await waitUntil(() => service.status.fired > 0, { describe: 'one has fired' });
        else if (n % 9 > 0)
          await systemClock.sleep(Math.max(0, due.getTime() - Date.now() - 2 + (n % 9) ** 2));
        if ((await timers.cancel({ id: timer.id })) === 1) cancelled.add(n);
      }),
    );
    await waitUntil(async () => (await timers.stats()).pending === 0, { describe: 'none is left' });
    await service.stop();
    const fired = numbersOf(await fixture.sentLog());
    expect(fired.filter((n) => cancelled.has(n))).toEqual([]);
    expect(fired.length + cancelled.size).toBe(count);
    // Both happened, so they did compete.
    expect(fired.length).toBeGreaterThan(0);
    expect(cancelled.size).toBeGreaterThan(0);
  });

  test('that are moved into a near slot while they are being cancelled are still cancelled', async () => {
    const { timers } = timersOf(fixture);
    const timer = message(0, { token: 'move' });
    await timers.schedule(timer, { delayMs: 7 * 3_600_000 });
    await fixture.database.pool.query(`update waybill.timer set due_at = due_at - interval '2 hours'`);
    const waiting = (): Promise<number> =>
      fixture.value(`select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
                        and datname = current_database()`);
    const moving = await fixture.database.pool.connect();
    await moving.query('begin');
    await moving.query('select waybill.timer_promote(10)');
    const cancelled = timers.cancel({ id: timer.id });
    await waitUntil(async () => (await waiting()) === 1, { describe: 'the cancel waits for the move' });
    await moving.query('commit');
    moving.release();
    expect(await cancelled).toBe(1);
    expect((await timers.stats()).pending).toBe(0);
    // The relay, which cancels within its pass, restarts the pass.
    await timers.schedule(timer, { delayMs: 7 * 3_600_000 });
    await fixture.database.pool.query(`update waybill.timer set due_at = due_at - interval '2 hours'`);
    await fixture.transaction((tx) => fixture.outbox.cancelTimer(tx, { token: 'move' }));
    const again = await fixture.database.pool.connect();
    await again.query('begin');
    await again.query('select waybill.timer_promote(10)');
    const relayed = fixture.moveAll();
    await waitUntil(async () => (await waiting()) === 1, { describe: 'the relay waits for the move' });
    await again.query('commit');
    again.release();
    await relayed;
    expect((await timers.stats()).pending).toBe(0);
  });

  test('that are moved while many are being cancelled are each cancelled once', async () => {
    const { timers } = timersOf(fixture);
    const scheduled = upTo(300).map((n) => message(n));
    for (const timer of scheduled) await timers.schedule(timer, { delayMs: 7 * 3_600_000 });
    await fixture.database.pool.query(`update waybill.timer set due_at = due_at - interval '2 hours'`);
    let counted = 0;
    const promote = async (): Promise<void> => {
      while ((await fixture.value<number>('select waybill.timer_promote(3)')) > 0);
    };
    const cancel = async (): Promise<void> => {
      for (const { id } of scheduled) counted += await timers.cancel({ id });
    };
    await Promise.all([promote(), cancel()]);
    expect(counted).toBe(300);
    expect((await timers.stats()).pending).toBe(0);
  });

  test('that another process is taking are left to it', async () => {
    const { timers, service } = timersOf(fixture);
    await timers.schedule(message(0), { delayMs: 0 });
    await waitUntil(async () => (await timers.stats()).due === 1, { describe: 'it is due' });
    const other = await fixture.database.pool.connect();
    await other.query('begin');
    await other.query(`select * from waybill.timer_claim('-infinity', '{1}', 10, 5000)`);
    expect(await service.runOnce()).toBe('idle');
    await other.query('rollback');
    other.release();
    expect(await service.runOnce()).toBe('again');
    expect(numbersOf(await fixture.sentLog())).toEqual([0]);
  });
});
