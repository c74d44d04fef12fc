import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { HalfFloor, order } from '../support/half-operations.js';
import { ShopFloor } from '../support/shop-floor.js';
import { sectionOf, statusOf, type StatusPage, statusText } from '../support/status.js';

let fixture: Fixture;
let floor: ShopFloor;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 2 } });
  floor = new ShopFloor(fixture);
});
afterEach(async () => {
  await floor.close();
  await fixture.close();
});

const SECTIONS = [
  'service',
  'bus',
  'relay',
  'consumers',
  'parked',
  'dead letters',
  'timers',
  'half messages',
  'sagas',
  'rings',
];

const page = (...options: string[]): Promise<StatusPage> => statusOf([fixture.url], ...options);

test('an idle service: every section is ok, nothing holds it up, and the exit code is 0', async () => {
  await fixture.publish(1);
  await fixture.moveAll();
  const { text, code } = await statusText([fixture.url]);
  expect(code).toBe(0);
  const lines = text.split('\n');
  expect(lines[0]).toMatch(/^waybill status at \d{4}-\S+Z: ok$/);
  expect(lines.slice(2, 2 + SECTIONS.length)).toEqual(
    SECTIONS.map((name) => expect.stringMatching(new RegExp(`^ok {7}${name} +\\S`))),
  );
  expect(text).toMatch(/\nWhat holds it up\n {2}nothing that was found\n$/);
  const all = await page();
  expect(all).toMatchObject({ state: 'ok', holdUps: [], hidden: [] });
  expect(all.sections.map(({ section }) => section)).toEqual(SECTIONS);
  expect(sectionOf(all, 'service').figures).toEqual({
    cluster: expect.stringMatching(/^\d+$/),
    database: new URL(fixture.url).pathname.slice(1),
    schemaVersion: 22,
    isStandby: false,
    seesAllSessions: true,
    serviceId: await fixture.value('select id from waybill.service'),
    busId: await fixture.value('select id from waybill_bus.bus'),
    logEpoch: 1,
  });
});

test('messages that no relay moves: their number, topic and age', async () => {
  for (const n of [1, 2, 3]) await fixture.publish(n);
  const relay = sectionOf(await page(), 'relay');
  expect(relay).toMatchObject({
    state: 'waiting',
    text: expect.stringContaining('3 messages waiting, the oldest for'),
    figures: {
      newestPass: 0,
      confirmedPass: 0,
      passInLog: 0,
      unansweredPasses: 0,
      isInWindows: false,
      waiting: 3,
      backlogs: [{ topic: 'orders', waiting: 3, full: null }],
      quarantined: [],
    },
  });
  await fixture.database.pool.query(`update waybill.outbox set created_at = created_at - interval '10 min'`);
  const { text, code } = await statusText([fixture.url]);
  expect(text).toMatch(
    /^stuck +relay .*3 messages waiting, the oldest for 10 min\n +-> Make sure that a relay runs/m,
  );
  expect(text).toMatch(
    /^outbox +service +8 +7 .* messages that wait for the relay \(the oldest message: 10 min\)$/m,
  );
  expect(code).toBe(1);
  await fixture.moveAll();
  const moved = await page();
  expect(sectionOf(moved, 'relay')).toMatchObject({
    state: 'ok',
    figures: { waiting: 0, newestPass: 1, passInLog: 1 },
  });
  expect(sectionOf(moved, 'rings').figures).toContainEqual(
    expect.objectContaining({
      ring: 'outbox',
      keptBy: expect.stringContaining('the retention of moved messages'),
    }),
  );
});

test('a consumer with a lag, and partitions without an owner', async () => {
  await floor.publish([1, 2].map((n) => ({ n, partition: 0 })));
  const consumer = await floor.consume((delivery) => floor.keep(delivery));
  await waitUntil(async () => (await floor.effects()).length === 2, { describe: 'both took effect' });
  await waitUntil(
    async () => {
      const { figures } = sectionOf(await page(), 'consumers');
      return (figures as { lag: number }[])[0]?.lag === 0;
    },
    { describe: 'the positions are reported' },
  );
  const owned = sectionOf(await page(), 'consumers');
  expect(owned).toMatchObject({
    state: 'ok',
    figures: [
      {
        group: 'test',
        topic: 'orders',
        partitions: 2,
        withoutOwner: 0,
        lag: 0,
        lagWithoutOwner: 0,
        oldestWaitingMs: null,
      },
    ],
  });
  expect((owned.figures as { leaseMs: number }[])[0]?.leaseMs).toBeLessThanOrEqual(20_000);

  await consumer.stop();
  await floor.publish([3, 4, 5].map((n) => ({ n, partition: 1 })));
  const alone = sectionOf(await page(), 'consumers');
  expect(alone).toMatchObject({
    state: 'waiting',
    figures: [{ partitions: 2, withoutOwner: 2, lag: 3, lagWithoutOwner: 3, leaseMs: null }],
  });
  await fixture.database.pool.query(
    `update waybill_bus.log_batch set appended_at = appended_at - interval '5 min'`,
  );
  const late = sectionOf(await page(), 'consumers');
  expect(late).toMatchObject({
    state: 'stuck',
    text: expect.stringContaining(
      'test consumes orders in 0 of 2 partitions only, and a record waits for 5 min',
    ),
    advice: expect.stringContaining('Start a process'),
  });
  expect((await statusText([fixture.url])).text).toMatch(/^test +orders +3 +5 min +2 +2 +-$/m);
});

test('a position that does not move although its partition has an owner', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await floor.publish([{ n: 1, partition: 0 }]);
  let begun = false;
  await floor.consume(async () => {
    begun = true;
    await held;
  });
  await waitUntil(() => begun, { describe: 'the handler has begun' });
  await fixture.database.pool.query(
    `update waybill_bus.log_batch set appended_at = appended_at - interval '7 min'`,
  );
  await fixture.database.pool.query(
    `insert into waybill_bus.reported_position as r (group_id, partition_id, position, reported_at)
     select o.group_id, o.partition_id, 0, clock_timestamp() - interval '6 min' from waybill_bus.partition_owner o
     on conflict (group_id, partition_id) do update set reported_at = excluded.reported_at`,
  );
  try {
    expect(sectionOf(await page(), 'consumers')).toMatchObject({
      state: 'stuck',
      text: expect.stringContaining(
        'a partition of orders has an owner for test, and its position has not moved for 6 min',
      ),
    });
  } finally {
    release();
  }
});

test('a parked message waits, a dead one needs an operator', async () => {
  await floor.publish([
    { n: 1, key: 'a', fail: 1_000 },
    { n: 2, key: 'a' },
  ]);
  await floor.consume(floor.keepOrFail, {
    retry: { maxAttempts: 1_000, immediateAttempts: 0, delayMs: 60_000, maxDelayMs: 60_000 },
  });
  await waitUntil(async () => sectionOf(await page(), 'parked').state === 'waiting', {
    describe: 'the message is parked',
  });
  expect(sectionOf(await page(), 'parked')).toMatchObject({
    text: expect.stringMatching(/^\d parked messages?, the oldest for/),
    figures: [{ group: 'test', topic: 'orders' }],
  });
  expect(sectionOf(await page(), 'dead letters')).toMatchObject({
    state: 'ok',
    text: 'no open dead letter',
    figures: [],
  });
  await fixture.database.pool.query(
    `insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
       headers, timestamp_ms, reason, error_class, error_message, fingerprint, attempts, first_failed_at, last_failed_at)
     select p.group_id, p.partition_id, 7, 1, 'orders', 0, 'h', '[]', 0, 'FAILED', 'Error', 'no', 'f', 1, now(), now()
       from waybill.parked_message p limit 1`,
  );
  const { text, code } = await statusText([fixture.url]);
  expect(text).toMatch(
    /^stuck +dead letters +1 open dead letter, the oldest for .*\n +-> .*waybill dlq list/m,
  );
  expect(code).toBe(1);
});

test('timers, half messages and sagas that are overdue', async () => {
  await fixture.transaction((client) =>
    fixture.outbox.publish(client, {
      topic: 'orders',
      payload: { n: 1 },
      delayMs: 3_600_000,
      timerToken: 'a',
    }),
  );
  await fixture.moveAll();
  const halves = new HalfFloor(fixture);
  await halves.halves.prepare(order(1));
  const before = await page();
  expect(sectionOf(before, 'timers')).toMatchObject({
    state: 'ok',
    text: '1 pending timer, 0 recurring messages',
  });
  expect(sectionOf(before, 'half messages')).toMatchObject({
    state: 'waiting',
    figures: { open: 1, overdue: 0 },
  });
  await fixture.database.pool.query(
    `update waybill.timer set due_at = due_at - interval '2 h';
     update waybill.half_message set next_check_at = clock_timestamp() - interval '5 min';
     insert into waybill.saga (id, saga_type, saga_key, definition_version, reply_topic, state, started_at, changed_at,
                               wake_at, content)
     select gen_random_uuid(), 'orders.place', s.state::text, 1, 'orders.saga-replies', s.state, clock_timestamp(),
            clock_timestamp(), clock_timestamp() - interval '3 min', '{}'
       from (values (1), (3)) s (state)`,
  );
  const late = await page();
  expect(sectionOf(late, 'timers')).toMatchObject({
    state: 'stuck',
    text: expect.stringContaining('1 timer overdue, the oldest by 60 min'),
  });
  expect(sectionOf(late, 'half messages')).toMatchObject({
    state: 'stuck',
    figures: { open: 1, overdue: 1 },
    text: expect.stringContaining('1 overdue for check-back, the oldest by 5 min'),
  });
  expect(sectionOf(late, 'sagas')).toMatchObject({
    state: 'stuck',
    figures: {
      byState: expect.arrayContaining([expect.objectContaining({ state: 'STUCK', sagas: 1 })]),
      overdue: 2,
    },
    text: expect.stringContaining('1 saga for an operator'),
  });
});
