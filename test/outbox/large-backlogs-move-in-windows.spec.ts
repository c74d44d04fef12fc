import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create();
});
afterEach(() => fixture.close());

async function publishBacklog(count: number): Promise<void> {
  await fixture.transaction(async (client) => {
    for (let from = 0; from < count; from += 500) {
      const messages = upTo(Math.min(500, count - from)).map((n) => ({
        topic: 'orders',
        key: `key-${(from + n) % 13}`,
        payload: { n: from + n },
      }));
      await fixture.outbox.publishMany(client, messages);
    }
  });
}

test('a backlog larger than a pass moves in windows, in order, while more is published and a straggler commits', async () => {
  const straggler = await fixture.database.pool.connect();
  await straggler.query('begin');
  await fixture.outbox.publish(straggler, { topic: 'orders', key: 'straggler', payload: { n: 3_000 } });
  await publishBacklog(3_000);
  const relay = fixture.relay({ smallDifferenceRows: 100, windowRows: 70 });
  for (let pass = 0; pass < 10; pass += 1) await relay.runOnce();
  expect(relay.moved).toBeGreaterThan(0);
  expect(relay.moved).toBeLessThan(3_000);
  await fixture.publish(3_001);
  await straggler.query('commit');
  straggler.release();
  // Another relay continues in the middle of the windows.
  const other = fixture.relay({ smallDifferenceRows: 100, windowRows: 50 });
  while ((await other.runOnce()) === 'again');
  const records = await fixture.log();
  expect(faultsOf(records)).toEqual([]);
  expect(numbersOf(records)).toEqual(upTo(3_002));
  const newest = new Map<string | null, number>();
  for (const { key, payload } of records.filter(({ payload: { n } }) => n < 3_000)) {
    expect(payload.n).toBeGreaterThan(newest.get(key) ?? -1);
    newest.set(key, payload.n);
  }
});

test('messages that exceed the bytes of a pass move in several passes, even a single message larger than a pass', async () => {
  const big = 'x'.repeat(50_000);
  await fixture.transaction(async (client) => {
    for (const n of upTo(30))
      await fixture.outbox.publish(client, { topic: 'orders', key: 'k', payload: { n, big } });
  });
  const relay = fixture.relay({ passBytes: 120_000 });
  await relay.runOnce();
  expect(relay.moved).toBe(2);
  while ((await relay.runOnce()) === 'again');
  // Where the bus is elsewhere, a pass is on its way there after it is committed.
  await relay.drain();
  const tiny = fixture.relay({ passBytes: 1_024 });
  await fixture.transaction((client) =>
    fixture.outbox.publish(client, { topic: 'orders', key: 'k', payload: { n: 30, big } }),
  );
  await tiny.runOnce();
  await tiny.drain();
  const records = await fixture.log();
  expect(records.map(({ payload }) => payload.n)).toEqual(upTo(31));
  expect(faultsOf(records)).toEqual([]);
});

test('a wide gap in the ids is crossed in a few passes', async () => {
  await fixture.publish(0);
  await fixture.database.pool.query(`select setval('waybill.outbox_id', 20000000)`);
  await publishBacklog(400);
  const relay = fixture.relay({ smallDifferenceRows: 100, windowRows: 200 });
  let passes = 0;
  while ((await relay.runOnce()) === 'again') passes += 1;
  expect(relay.moved).toBe(401);
  expect(passes).toBeLessThan(60);
});
