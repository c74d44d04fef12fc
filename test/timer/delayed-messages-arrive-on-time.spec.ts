import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Bell, newId } from '@waybill/kernel';
import { type Message, Relay } from '@waybill/outbox';
import { type TimerService, Timers } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import { faultsOf, Fixture, type LoggedRecord } from '../support/fixture.js';
import { drain } from '../support/own-databases.js';
import { timersOf } from '../support/timers.js';

describe('a delayed message', () => {
  let fixture: Fixture;
  let service: TimerService;
  let timers: Timers;
  let relay: Relay;
  beforeAll(async () => {
    fixture = await Fixture.create();
    ({ service, timers } = timersOf(fixture));
    const { database, engine: log } = fixture;
    relay = new Relay({ database, log, bell: new Bell(), alarm: service });
    service.start();
  });
  afterAll(async () => {
    await service.stop();
    await fixture.close();
  });

  const publish = (...messages: Partial<Message>[]) =>
    fixture.transaction((tx) =>
      fixture.outbox.publishMany(
        tx,
        messages.map((message) => ({ topic: 'orders', payload: { n: 0 }, ...message })),
      ),
    );
  const moveAll = (): Promise<void> => drain(relay);
  const arrived = async (...numbers: number[]): Promise<LoggedRecord[]> => {
    const find = async () =>
      (await fixture.sentLog('orders', relay))
        .filter(({ payload }) => numbers.includes(payload.n))
        .toSorted(byOffset);
    await waitUntil(async () => (await find()).length >= numbers.length, {
      describe: `${numbers.join(', ')} have arrived`,
      timeoutMs: 10_000,
    });
    return find();
  };
  const byOffset = (a: LoggedRecord, b: LoggedRecord): number =>
    a.partition - b.partition || a.offset - b.offset;
  const pending = (): Promise<number> => fixture.value('select count(*)::int from waybill.timer');

  test("is not in the log before its time by the database's clock, and is soon after", async () => {
    const dueMs = await fixture.value<number>(
      `select (extract(epoch from clock_timestamp()) * 1000)::float8 + 400`,
    );
    const deliverAt = new Date(Math.ceil(dueMs));
    await publish(
      { payload: { n: 1 }, deliverAt },
      { payload: { n: 2 } },
      { payload: { n: 3 }, delayMs: 300 },
      { payload: { n: 4 }, delayMs: 3_600_000, timerToken: 'in an hour' },
    );
    await moveAll();
    await arrived(1, 2, 3);
    // Of the batch that was appended last: message 1 is due last.
    const lateMs = await fixture.busValue<number>(
      `select (extract(epoch from max(appended_at) - $1::timestamptz) * 1000)::float8 from waybill_bus.log_batch`,
      [deliverAt],
    );
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect((await fixture.sentLog('orders', relay)).map(({ payload }) => payload.n)).not.toContain(4);
    expect(await timers.cancel({ token: 'in an hour' })).toBe(1);
    expect(faultsOf(await fixture.sentLog('orders', relay))).toEqual([]);
  });

  test('keeps id, key, partition, headers and payload', async () => {
    const id = newId();
    await publish({
      id,
      key: 'the key',
      partition: 2,
      headers: { colour: 'grün' },
      payload: { n: 10, text: 'ä' },
      delayMs: 1,
    });
    await moveAll();
    const [record] = await arrived(10);
    expect(record).toMatchObject({ id, key: 'the key', partition: 2, payload: { n: 10, text: 'ä' } });
    expect(record?.headers).toEqual({ 'waybill-id': id, colour: 'grün' });
  });

  test('is due at once when its time has passed; equal times follow the order of publishing', async () => {
    const past = new Date('2020-01-01T00:00:00Z');
    const soon = new Date(Date.now() + 300);
    await publish(
      ...[20, 21, 22].map((n) => ({ payload: { n }, key: 'k', deliverAt: past })),
      ...[23, 24, 25].map((n) => ({ payload: { n }, key: 'k', deliverAt: soon })),
    );
    await moveAll();
    const records = await arrived(20, 21, 22, 23, 24, 25);
    expect(records.map(({ payload }) => payload.n)).toEqual([20, 21, 22, 23, 24, 25]);
  });

  test('is cancelled by id or token in any transaction, even before it has been relayed', async () => {
    const hour = { delayMs: 3_600_000 };
    const [one, two] = await publish({ payload: { n: 30 }, ...hour }, { payload: { n: 31 }, ...hour });
    await publish(...[32, 33].map((n) => ({ payload: { n }, timerToken: 'order 7', ...hour })));
    await fixture.transaction(async (tx) => {
      const [own] = await fixture.outbox.publishMany(tx, [
        { topic: 'orders', payload: { n: 34 }, delayMs: 0, timerToken: 'own' },
      ]);
      expect(own).toBeDefined();
      await fixture.outbox.cancelTimer(tx, { token: 'own' });
      await fixture.outbox.cancelTimer(tx, { id: one?.id ?? '' });
    });
    await moveAll();
    expect(await pending()).toBe(3);
    await fixture.transaction((tx) => fixture.outbox.cancelTimer(tx, { token: 'order 7' }));
    await moveAll();
    expect(await pending()).toBe(1);
    expect(await timers.get(one?.id ?? '')).toBeUndefined();
    expect(await timers.get(two?.id ?? '')).toMatchObject({ topic: 'orders', token: null, partition: null });
    expect(await timers.cancel({ id: two?.id ?? '' })).toBe(1);
    expect(await timers.cancel({ id: two?.id ?? '' })).toBe(0);
    expect(await timers.cancel({ token: 'nobody' })).toBe(0);
  });

  test('that a rolled-back transaction cancelled is still delivered', async () => {
    await publish({ payload: { n: 40 }, delayMs: 200, timerToken: 'keep' });
    await moveAll();
    const undone = fixture.transaction(async (tx) => {
      await fixture.outbox.cancelTimer(tx, { token: 'keep' });
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    await moveAll();
    await arrived(40);
  });

  test('is moved to another time, near and far', async () => {
    const far = { delayMs: 40 * 86_400_000, timerToken: 'move' };
    await publish({ payload: { n: 50 }, ...far }, { payload: { n: 51 }, ...far });
    await moveAll();
    expect((await timers.stats()).far).toBe(2);
    await fixture.transaction((tx) =>
      fixture.outbox.rescheduleTimer(tx, { token: 'move' }, { delayLevel: '2h' }),
    );
    await moveAll();
    expect(await timers.stats()).toMatchObject({ pending: 2, due: 0, far: 0 });
    expect(await timers.reschedule({ token: 'move' }, { delayMs: 100 })).toBe(2);
    await arrived(50, 51);
    expect(await timers.reschedule({ token: 'move' }, { delayMs: 100 })).toBe(0);
  });

  test('may be published in SQL, and be a hundred years ahead', async () => {
    const id = await fixture.value<string>(
      `select waybill.publish('orders', 'k', '{"n": 60}', null, clock_timestamp() + interval '100 ms')::text`,
    );
    await fixture.database.pool.query(
      `select waybill.publish('orders', 'k', '{"n": 61}', deliver_at => 'infinity', timer_token => 'never')`,
    );
    await publish({ payload: { n: 62 }, delayMs: 36_525 * 86_400_000, timerToken: 'never' });
    await moveAll();
    expect(await arrived(60)).toMatchObject([{ id }]);
    expect(await timers.cancel({ token: 'never' })).toBe(2);
  });

  test("counts its time to live from its delivery, by the database's clock", async () => {
    const before = Date.now();
    await publish(
      { payload: { n: 70 }, ttlMs: 60_000 },
      { payload: { n: 71 }, delayMs: 100, ttlMs: 60_000, headers: { a: 'b' } },
      { payload: { n: 72 }, expiresAt: new Date(before + 50_000) },
      { payload: { n: 73 }, deliverAt: new Date(0), ttlMs: 60_000 },
    );
    await moveAll();
    const records = await arrived(70, 71, 72, 73);
    const lives = new Map(
      records.map(({ payload, headers }) => [payload.n, Number(headers['waybill-expires-at']) - before]),
    );
    expect(lives.get(72)).toBe(50_000);
    for (const [n, atLeast] of [
      [70, 60_000],
      [71, 60_100],
      [73, 60_000],
    ] as const) {
      expect(lives.get(n)).toBeGreaterThanOrEqual(atLeast - 5);
      expect(lives.get(n)).toBeLessThan(atLeast + 10_000);
    }
    expect(records.find(({ payload }) => payload.n === 71)?.headers).toMatchObject({ a: 'b' });
    const dead = publish({ payload: { n: 74 }, delayMs: 60_000, expiresAt: new Date(before + 50_000) });
    await expect(dead).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
  });

  test('to a topic that does not exist is refused', async () => {
    await expect(publish({ topic: 'nowhere', delayMs: 5 })).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    const direct = { id: newId(), token: null, topic: 'nowhere', partition: null, key: null, headers: null };
    await expect(timers.schedule({ ...direct, payload: null }, { delayMs: 1 })).rejects.toMatchObject({
      code: 'TOPIC_UNKNOWN',
    });
  });
});
