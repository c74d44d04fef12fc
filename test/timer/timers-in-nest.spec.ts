import 'reflect-metadata';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  deadLetter,
  DeadLetters,
  drop,
  Outbox,
  Recurring,
  Redrives,
  retryIn,
  Timers,
  Waybill,
  WaybillContext,
  WaybillHealthIndicator,
  WaybillModule,
  WaybillServer,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { describeWithRedis } from '../support/timers.js';

interface Order {
  readonly n: number;
}

@Controller()
class Handlers {
  @EventPattern<string>('orders')
  async onOrder(@Payload() { n }: Order, @Ctx() context: WaybillContext<pg.PoolClient>): Promise<unknown> {
    await context.transaction.query(
      'insert into effect (n, attempt, at) values ($1, $2, clock_timestamp())',
      [n, context.attempt],
    );
    if (n === 1) return drop('not wanted');
    if (n === 2) throw deadLetter('not payable');
    if (n === 3 && (asked += 1) < 2) return retryIn(10);
    return undefined;
  }
}

let fixture: Fixture;
let app: INestMicroservice | undefined;
let asked: number;
beforeEach(async () => {
  asked = 0;
  fixture = await Fixture.create({ orders: { partitions: 2 } });
});
afterEach(async () => {
  await app?.close();
  app = undefined;
  await fixture.close();
});

const start = async (redis?: string): Promise<INestMicroservice> => {
  const imports = [
    WaybillModule.forRoot({
      ...fixture.moduleOptions,
      group: 'shop',
      ...(redis === undefined ? {} : { redis }),
    }),
  ];
  const module = await Test.createTestingModule({ imports, controllers: [Handlers] }).compile();
  app = module.createNestMicroservice({ strategy: module.get(WaybillServer), logger: false });
  await app.listen();
  return app;
};
const effects = async (): Promise<number[]> =>
  (await fixture.database.pool.query<{ n: number }>('select n from effect order by id')).rows.map(
    ({ n }) => n,
  );
const publish = (
  outbox: Outbox,
  n: number,
  times: { delayMs?: number; timerToken?: string } = {},
): Promise<unknown> =>
  fixture.transaction((client) =>
    outbox.publish(client, { topic: 'orders', key: `key-${n}`, payload: { n }, ...times }),
  );

test('a handler under Nest gives its verdict by returning or throwing it', async () => {
  const shop = await start();
  for (const n of [0, 1, 2, 3]) await publish(shop.get(Outbox), n);
  await waitUntil(async () => (await effects()).length === 2, { describe: 'two took effect' });
  expect((await effects()).toSorted((a, b) => a - b)).toEqual([0, 3]);
  const operations = shop.get(DeadLetters);
  await waitUntil(async () => (await operations.count()) === 1, { describe: 'one is a dead letter' });
  expect(await operations.list()).toMatchObject([{ reason: 'by-handler', errorMessage: 'not payable' }]);
  const { counts } = shop.get(Waybill).consumerStatus ?? {};
  expect(counts).toMatchObject({ dropped: 1, deadLetters: 1 });
  expect(await shop.get(Redrives).list()).toEqual([]);
});

test('delayed and recurring messages arrive, and a cancelled one does not', async () => {
  const shop = await start();
  const outbox = shop.get(Outbox);
  await publish(outbox, 10, { delayMs: 300 });
  await publish(outbox, 11, { delayMs: 3_600_000, timerToken: 'unpaid' });
  await publish(outbox, 12, { delayMs: 3_600_000 });
  await fixture.transaction((client) => outbox.cancelTimer(client, { token: 'unpaid' }));
  await shop.get(Recurring).put('pulse', { topic: 'orders', payload: { n: 20 }, everyMs: 200 });
  await waitUntil(async () => (await effects()).filter((n) => n === 20).length >= 2, {
    describe: 'two runs arrive',
  });
  await waitUntil(async () => (await effects()).includes(10), { describe: 'the delayed one arrives' });
  await shop.get(Recurring).remove('pulse');
  expect(await effects()).not.toContain(11);
  // A run in progress when its definition was removed leaves a timer that finds nothing.
  await waitUntil(async () => (await shop.get(Timers).stats()).pending === 1, { describe: 'one is left' });
  expect(await shop.get(WaybillHealthIndicator).isHealthy()).toMatchObject({
    waybill: { status: 'up', timerClock: 'postgres' },
  });
});

describeWithRedis('with Redis', (redis) => {
  test('it is the clock; without it the service is only degraded', async () => {
    const shop = await start(redis().url);
    const health = async (): Promise<unknown> =>
      (await shop.get(WaybillHealthIndicator).isHealthy())['waybill'];
    const becomes = (expected: object): Promise<void> =>
      waitUntil(
        async () => {
          const { status, timerClock } = (await health()) as Record<string, unknown>;
          return JSON.stringify({ status, timerClock }) === JSON.stringify(expected);
        },
        { describe: () => `the health is ${JSON.stringify(expected)}`, timeoutMs: 20_000 },
      );
    await becomes({ status: 'up', timerClock: 'redis' });
    await publish(shop.get(Outbox), 10, { delayMs: 200 });
    await waitUntil(async () => (await effects()).includes(10), { describe: 'it arrives' });
    await redis().kill();
    await becomes({ status: 'degraded', timerClock: 'postgres' });
    await publish(shop.get(Outbox), 11, { delayMs: 200 });
    await waitUntil(async () => (await effects()).includes(11), { describe: 'it arrives without Redis' });
    await redis().restart();
    await becomes({ status: 'up', timerClock: 'redis' });
  });
});
