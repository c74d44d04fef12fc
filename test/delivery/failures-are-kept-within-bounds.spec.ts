import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Handler } from '@waybill/consumer';
import { RetryableError } from '@waybill/kernel';
import { waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { ShopFloor } from '../support/shop-floor.js';

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

describe('the budget of retries', () => {
  test('is shared by all processes of the group, and first attempts do not count', async () => {
    let broken = true;
    let retries = 0;
    const started = performance.now();
    const handler: Handler = async (delivery) => {
      if (delivery.attempt > 1) retries += 1;
      if (broken) throw new RetryableError('not yet', { delayMs: 1 });
      await floor.keep(delivery);
    };
    const subscription = { retry: { maxAttempts: 1_000, immediateAttempts: 0 } };
    const options = { retryBudget: { perSecond: 5, burst: 5 } };
    await floor.publish(upTo(20).map((n) => ({ n, key: `key-${n}` })));
    await floor.consume(handler, subscription, options);
    await floor.consume(handler, subscription, options);
    await waitUntil(() => retries >= 25, { describe: 'retries are made', timeoutMs: 20_000 });
    const seconds = (performance.now() - started) / 1_000;
    // What was saved up, what was added since, and what two processes may still have held.
    expect(retries).toBeLessThanOrEqual(5 + 5 * seconds + 2);
    broken = false;
    await waitUntil(async () => (await floor.effects()).length === 20, {
      describe: 'all are done',
      timeoutMs: 30_000,
    });
  });
});

describe('a circuit breaker', () => {
  test('pauses the handler after consecutive failures, probes with one message, and lets all through when that succeeds', async () => {
    let broken = true;
    let calls = 0;
    const handler: Handler = async (delivery) => {
      calls += 1;
      if (broken) throw new RetryableError('the gateway is away', { delayMs: 10 });
      await floor.keep(delivery);
    };
    await floor.publish(upTo(200).map((n) => ({ n, key: `key-${n}` })));
    const pauseMs = 400;
    const started = performance.now();
    const consumer = await floor.consume(handler, {
      retry: { maxAttempts: 1_000, immediateAttempts: 0 },
      circuitBreaker: { failures: 5, pauseMs },
    });
    await waitUntil(() => consumer.status.circuits['orders'] === 'open', { describe: 'it is open' });
    // Those that open it, and those that run at that time.
    const most = 5 + 8;
    await waitUntil(() => calls >= most + 3, { describe: 'it probes', timeoutMs: 10_000 });
    const pauses = (performance.now() - started) / pauseMs;
    expect(calls).toBeLessThanOrEqual(most + pauses);
    broken = false;
    await waitUntil(async () => (await floor.effects()).length === 200, {
      describe: 'all are done',
      timeoutMs: 20_000,
    });
    expect(consumer.status.circuits).toEqual({ orders: 'closed' });
  });
});

describe.each(['key', 'partition'] as const)('in order %s, a message that has expired', (concurrency) => {
  const publish = (ttlMs: number | undefined): Promise<unknown> =>
    fixture.transaction((client) =>
      fixture.outbox.publishMany(
        client,
        upTo(9).map((n) => {
          const dies = ttlMs !== undefined && n % 3 === 1;
          return { topic: 'orders', key: 'key', payload: { n }, ...(dies ? { ttlMs } : {}) };
        }),
      ),
    );
  const isOver = async (ms: number): Promise<boolean> =>
    fixture.value<boolean>(
      `select max(created_at) < clock_timestamp() - $1::int * interval '1 millisecond' from waybill.outbox`,
      [ms],
    );

  test.each([
    ['dead-letter', 3],
    ['drop', 0],
  ] as const)('is treated as the topic says: %s', async (onExpired, letters) => {
    await fixture.topics.configure('orders', { onExpired });
    await publish(200);
    await waitUntil(() => isOver(200), { describe: 'its time is over' });
    await fixture.moveAll();
    const consumer = await floor.consume(floor.keep, { concurrency, transactionBatch: 4 });
    await waitUntil(() => consumer.status.counts.expired === 3, { describe: 'three have expired' });
    await waitUntil(async () => (await floor.effects()).length === 6, { describe: 'the others are done' });
    expect(await floor.effects()).toEqual([0, 2, 3, 5, 6, 8]);
    expect(await fixture.deadLetters.count({ reason: 'expired' })).toBe(letters);
  });

  test('is handled while it has not expired', async () => {
    await publish(3_600_000);
    await fixture.moveAll();
    const consumer = await floor.consume(floor.keep, { concurrency });
    await waitUntil(async () => (await floor.effects()).length === 9, { describe: 'all are done' });
    expect(consumer.status.counts.expired).toBe(0);
  });
});
