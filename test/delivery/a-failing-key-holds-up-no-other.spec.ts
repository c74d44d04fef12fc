import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { deadLetter, drop, type Handler, retryIn } from '@waybill/consumer';
import { RetryableError } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { type Order, ShopFloor } from '../support/shop-floor.js';

let fixture: Fixture;
let floor: ShopFloor;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  floor = new ShopFloor(fixture);
});
afterEach(async () => {
  await floor.close();
  await fixture.close();
});

const parked = (): Promise<number> => fixture.value('select count(*)::int from waybill.parked_message');
const quick = { immediateAttempts: 0, backoff: 'fixed', delayMs: 30, jitterPercent: 0 } as const;

describe('sequenced retry', () => {
  test('keeps the order of every key while messages fail, and parks the messages after them', async () => {
    const orders = upTo(400).map((n) => ({ n, key: `key-${n % 20}`, fail: n % 30 === 3 ? 1 + (n % 5) : 0 }));
    await floor.publish(orders);
    await floor.consume(floor.keepOrFail, { retry: quick });
    await waitUntil(async () => (await floor.effects()).length === 400, {
      describe: 'every message took effect',
      timeoutMs: 30_000,
    });
    for (const key of upTo(20)) {
      const expected = orders.filter((order) => order.key === `key-${key}`).map(({ n }) => n);
      expect(await floor.effects(`key-${key}`)).toEqual(expected);
    }
    expect(
      await fixture.value('select count(*)::int from waybill.delivery_mark where verdict = 3'),
    ).toBeGreaterThan(14);
    await waitUntil(async () => (await parked()) === 0, { describe: 'no message is parked' });
    expect(await fixture.deadLetters.list()).toEqual([]);
  });

  test('lets other keys pass a key that waits for long, and the position advance', async () => {
    let broken = true;
    await floor.publish(upTo(900).map((n) => ({ n, key: n % 2 === 0 ? 'broken' : `key-${n % 7}` })));
    const handler: Handler = async (delivery) => {
      if (broken && delivery.key === 'broken') throw new RetryableError('not yet', { delayMs: 200 });
      await floor.keep(delivery);
    };
    await floor.consume(handler, { retry: { ...quick, maxAttempts: 1_000 } });
    await waitUntil(async () => (await floor.effects()).length === 450, {
      describe: 'the other keys are done',
    });
    await waitUntil(async () => (await parked()) === 450, { describe: 'the broken key is parked' });
    await waitUntil(
      async () => (await fixture.value('select max(position)::int from waybill.consumer_position')) === 900,
      { describe: 'the position is at the end' },
    );
    expect(await floor.effects('broken')).toEqual([]);
    broken = false;
    await waitUntil(async () => (await parked()) === 0, {
      describe: 'the key is drained',
      timeoutMs: 20_000,
    });
    expect(await floor.effects('broken')).toEqual(upTo(450).map((n) => 2 * n));
  });

  test('continues where it was when another process takes over', async () => {
    let broken = true;
    const seen: number[] = [];
    await floor.publish(upTo(30).map((n) => ({ n })));
    const handler: Handler = async (delivery) => {
      seen.push(delivery.attempt);
      if (broken) throw new RetryableError('not yet', { delayMs: 60 });
      await floor.keep(delivery);
    };
    const subscription = { retry: { ...quick, maxAttempts: 1_000 } };
    const first = await floor.consume(handler, subscription);
    await waitUntil(async () => (await parked()) === 30 && seen.length > 2, { describe: 'all wait' });
    await first.stop();
    const attempts = seen.length;
    expect(seen).toEqual(upTo(attempts).map((n) => n + 1));
    await floor.consume(handler, subscription);
    await waitUntil(() => seen.length > attempts, { describe: 'the next one continues' });
    expect(seen[attempts]).toBe(attempts + 1);
    broken = false;
    await waitUntil(async () => (await parked()) === 0, { describe: 'all are done' });
    expect(await floor.effects()).toEqual(upTo(30));
  });

  test('is bounded: messages beyond the bound are retried in place', async () => {
    await floor.publish(upTo(60).map((n) => ({ n, key: `key-${n % 6}`, fail: n % 4 === 0 ? 3 : 0 })));
    let most = 0;
    const consumer = await floor.consume(floor.keepOrFail, { retry: quick }, { maxParked: 5 });
    await waitUntil(
      async () => {
        most = Math.max(most, consumer.status.parked);
        return (await floor.effects()).length === 60;
      },
      { describe: 'every message took effect', timeoutMs: 30_000, intervalMs: 5 },
    );
    // As many as run at once may fail at the same moment.
    expect(most).toBeLessThanOrEqual(5 + 8);
    expect(most).toBeGreaterThan(0);
    for (const key of upTo(6)) {
      expect(await floor.effects(`key-${key}`)).toEqual(upTo(60).filter((n) => n % 6 === key));
    }
  });
});

describe('a verdict of the handler', () => {
  test('applies whether it is returned or thrown, and rolls back what the handler wrote', async () => {
    await floor.publish(upTo(4).map((n) => ({ n, key: `key-${n}` })));
    const handler: Handler = async (delivery) => {
      await floor.keep(delivery);
      const { n } = delivery.payload as Order;
      if (n === 1) return drop('seen before');
      if (n === 2) throw deadLetter('there is no such customer');
      if (n === 3 && (await asked()) < 3) return retryIn(20);
      return undefined;
    };
    let asks = 0;
    const asked = async (): Promise<number> => (asks += 1);
    const consumer = await floor.consume(handler);
    await waitUntil(async () => (await floor.effects()).length === 2, { describe: 'two took effect' });
    await waitUntil(() => consumer.status.counts.dropped === 1, { describe: 'one was dropped' });
    expect((await floor.effects()).toSorted((a, b) => a - b)).toEqual([0, 3]);
    // Asking to be called later is not an attempt.
    expect(await fixture.value('select attempt from effect where n = 3')).toBe(1);
    expect(await fixture.deadLetters.list()).toMatchObject([
      { reason: 'by-handler', errorMessage: 'there is no such customer', attempts: 1 },
    ]);
    expect(consumer.status.counts).toMatchObject({ done: 2, deadLetters: 1, dropped: 1 });
  });
});
