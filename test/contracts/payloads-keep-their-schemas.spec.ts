import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type DynamicModule } from '@nestjs/common';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import type { LogFields, Logger } from '@waybill/kernel';
import {
  HalfMessages,
  Outbox,
  PayloadInvalidError,
  type PayloadInputOf,
  type PayloadOf,
  Recurring,
  Saga,
  saga,
  sagaCommand,
  SagaOperations,
  Sagas,
  type TopicSchema,
  Waybill,
  WaybillClient,
  type WaybillContext,
  WaybillModule,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import { type } from 'arktype';
import type pg from 'pg';
import { lastValueFrom } from 'rxjs';
import * as v from 'valibot';
import { z } from 'zod';
import { Applications } from '../transport/application.js';

const OrderPlaced = z.object({ n: z.int().positive(), currency: z.string().default('EUR') });
const OrderPlaced2 = {
  schema: z.object({ count: z.int().positive() }),
  version: 2,
  upcasters: { 1: ({ n }: PayloadOf<typeof OrderPlaced>) => ({ count: n }) },
} satisfies TopicSchema;
const fits: PayloadInputOf<typeof OrderPlaced> = { n: 1 };
const unfit = { n: -1, currency: 'hunter2' };

/** What handlers got, with the attempts and topics of their deliveries. */
let seen: { payload: unknown; topic: string; attempt: number }[];

@Controller()
class Orders {
  @EventPattern<string>('orders')
  async handle(@Payload() payload: unknown, @Ctx() ctx: WaybillContext<pg.PoolClient>): Promise<void> {
    seen.push({ payload, topic: ctx.topic, attempt: ctx.attempt });
    await ctx.transaction.query(`insert into effect (consumer, key) values ('orders', $1)`, [ctx.key]);
  }
}

@Controller()
class Everything {
  @EventPattern<string>('orders.*')
  handle(@Payload() payload: unknown, @Ctx() { topic, attempt }: WaybillContext): void {
    seen.push({ payload, topic, attempt });
  }
}

@Controller()
class ByItself {
  @EventPattern<string>('orders', { schema: z.object({ n: z.int() }).transform(({ n }) => n) })
  handle(@Payload() payload: unknown, @Ctx() { topic, attempt }: WaybillContext): void {
    seen.push({ payload, topic, attempt });
  }
}

@Saga()
class Charging {
  readonly definition = saga<{ n: number }>('charging')
    .step('charge', { invoke: sagaCommand<{ n: number }>('payments.charge'), with: ({ n }) => ({ n }) })
    .build();
}

@Controller()
class Publishing {
  constructor(private readonly outbox: Outbox) {}

  @EventPattern<string>('first')
  async handle(): Promise<void> {
    await this.outbox.publish({ topic: 'orders', payload: unfit });
  }
}

@Controller()
class Sums {
  @MessagePattern<string>('sum')
  sum(@Payload() numbers: number[]): number {
    return numbers.reduce((total, number) => total + number);
  }
}

let applications: Applications;
beforeEach(async () => {
  seen = [];
  applications = await Applications.create('orders', 'first', 'sum', 'orders.eu', 'orders.us');
});
afterEach(() => applications.close());

const { payloads, letters, publish } = {
  payloads: () => seen.map(({ payload }) => payload),
  letters: async () =>
    (await applications.fixture.deadLetters.list()).map(({ reason, errorClass, attempts, errorMessage }) => ({
      reason,
      errorClass,
      attempts,
      errorMessage,
    })),
  /** By a process that has no schema, or a different one. */
  publish: (payload: unknown, topic = 'orders', key = 'k', outbox = applications.fixture.outbox) =>
    applications.fixture.transaction((client) => outbox.publish(client, { topic, key, payload })),
};
const version2 = new Outbox({ schemas: { orders: OrderPlaced2 } });

describe('a payload that does not fit', () => {
  test.each([
    ['zod', OrderPlaced],
    ['valibot', v.object({ n: v.pipe(v.number(), v.minValue(1)), currency: v.optional(v.string(), 'EUR') })],
    ['arktype', type({ n: 'number > 0', currency: 'string = "EUR"' })],
  ])('of %s is not published, and its transaction continues', async (_, schema) => {
    const app = await applications.start('orders', [Orders], { schemas: { orders: schema } });
    const outbox = app.get(Outbox);
    await applications.fixture.transaction(async (client) => {
      const refused = await outbox
        .publish(client, { topic: 'orders', payload: unfit })
        .catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'PAYLOAD_INVALID', issues: [{ path: 'n' }] });
      expect((refused as Error).message).not.toContain('hunter2');
      await expect(
        outbox.publishMany(
          client,
          [fits, unfit].map((payload) => ({ topic: 'orders', payload })),
        ),
      ).rejects.toThrow(PayloadInvalidError);
      await client.query(`insert into effect (consumer) values ('business')`);
      await outbox.publish(client, { topic: 'orders', key: 'k', payload: fits });
    });
    await waitUntil(() => seen.length > 0, { describe: 'the one that fits is handled' });
    expect(payloads()).toEqual([{ n: 1, currency: 'EUR' }]);
    expect(await applications.effects('business')).toBe(1);
    const log = await applications.fixture.log();
    expect(log.map(({ payload, headers }) => [payload, headers['schema-version']])).toEqual([
      [{ n: 1 }, '1'],
    ]);
  });

  test('is refused by every other way of publishing', async () => {
    const app = await applications.start('orders', [Orders], {
      schemas: { orders: OrderPlaced, sum: z.array(z.number()) },
      client: { requireTransaction: false },
    });
    const message = { topic: 'orders', payload: unfit };
    const doors: (() => Promise<unknown>)[] = [
      () => publish(unfit, 'orders', 'k', app.get(Outbox)),
      () => applications.fixture.transaction((tx) => app.get(Outbox).publish(tx, { ...message, delayMs: 1 })),
      () => app.get(Waybill).transaction(async (_tx, outbox) => outbox.publish(message)),
      () => app.get(HalfMessages).prepare(message),
      () => app.get(Recurring).put('daily', { ...message, everyMs: 1_000 }),
      () => lastValueFrom(app.get(WaybillClient).emit('orders', unfit)),
      () => lastValueFrom(app.get(WaybillClient).send('sum', ['1'])),
    ];
    for (const door of doors) await expect(door()).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' });
    const tables = ['recurring_message', 'half_message', 'timer'].map(
      (table) => `(select count(*) from waybill.${table})`,
    );
    expect(await applications.fixture.value(`select (${tables.join(' + ')})::integer`)).toBe(0);
  });

  test('of a saga command leaves the saga stuck', async () => {
    const app = await applications.start('orders', [], {
      imports: [WaybillModule.forFeature({ sagas: [Charging] })],
      schemas: { 'payments.charge': OrderPlaced },
    });
    const { definition } = app.get(Charging);
    const { id } = await applications.fixture.transaction((tx) =>
      app.get(Sagas).start(tx, definition, { key: 'a', data: unfit }),
    );
    const stuck = async () => (await app.get(SagaOperations).show(id)).state === 'STUCK';
    await waitUntil(stuck, { describe: 'the saga is stuck' });
    const { rows } = await applications.fixture.database.pool.query('select * from waybill.saga');
    expect(JSON.stringify(rows)).toContain('does not match version 1');
  });

  test('becomes a dead letter at once when it is handled, and its key continues', async () => {
    const schemas = { orders: OrderPlaced };
    for (const payload of [{ n: 1 }, unfit, { n: 2 }]) await publish(payload);
    await applications.start('orders', [Orders], { schemas, handlers: { transactionBatch: 8 } });
    await waitUntil(() => seen.length === 2, { describe: 'those that fit are handled' });
    expect(payloads()).toEqual([1, 2].map((n) => ({ n, currency: 'EUR' })));
    const [letter, ...others] = await letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      reason: 'payload-invalid',
      errorClass: 'PayloadInvalidError',
      attempts: 1,
    });
    expect(letter?.errorMessage).toMatch(
      /message [-0-9a-f]{36} at orders\[0]@1 does not match version 1 .*: n\./,
    );
    expect(letter?.errorMessage).not.toContain('hunter2');
  });

  test('is a failed attempt like any other when a handler publishes it', async () => {
    await applications.start('first', [Publishing], { schemas: { orders: OrderPlaced } });
    await publish(1, 'first');
    const { deadLetters } = applications.fixture;
    await waitUntil(async () => (await deadLetters.count()) === 1, { describe: 'its attempts are spent' });
    expect(await letters()).toMatchObject([{ reason: 'attempts-spent', attempts: 3 }]);
  });

  test('as a request is refused on both sides', async () => {
    const numbers = z.array(z.number()).min(1);
    const asker = await applications.start('askers', []);
    await applications.start('sums', [Sums], { schemas: { sum: numbers } });
    const ask = (data: unknown) => lastValueFrom(asker.get(WaybillClient).send('sum', data));
    expect(await ask([1, 2])).toBe(3);
    await expect(ask([])).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      remote: { name: 'PayloadInvalidError', code: 'PAYLOAD_INVALID' },
    });
    expect(await letters()).toMatchObject([{ reason: 'payload-invalid' }]);
  });
});

describe('a message of another version', () => {
  test('is upcast to the version that the process has', async () => {
    await publish({ n: 1 });
    await publish({ n: 2 }, 'orders', 'k', new Outbox({ schemas: { orders: OrderPlaced } }));
    await publish({ count: 3 }, 'orders', 'k', version2);
    await applications.start('orders', [Orders], { schemas: { orders: OrderPlaced2 } });
    await waitUntil(() => seen.length === 3, { describe: 'all three are handled' });
    expect(payloads()).toEqual([1, 2, 3].map((count) => ({ count })));
  });

  test('becomes a dead letter when its upcaster fails or is missing', async () => {
    await publish(null);
    await publish({ n: 2 }, 'orders.eu', 'k', new Outbox({ schemas: { 'orders.eu': OrderPlaced } }));
    await applications.start('orders', [Orders, Everything], {
      schemas: { orders: OrderPlaced2, 'orders.eu': { schema: OrderPlaced, version: 2, unversioned: 2 } },
    });
    const { deadLetters } = applications.fixture;
    await waitUntil(async () => (await deadLetters.count()) === 2, { describe: 'both are dead letters' });
    expect((await letters()).map(({ reason, errorClass }) => `${reason} ${errorClass}`).toSorted()).toEqual([
      'payload-invalid PayloadInvalidError',
      'payload-invalid PayloadVersionUnsupportedError',
    ]);
    expect(seen).toEqual([]);
  });

  test('waits, when it is newer, for a process that has that version', async () => {
    const warnings: string[] = [];
    const note = (text: string, _fields?: LogFields): void => void warnings.push(text);
    const logger: Logger = { debug: () => {}, info: () => {}, warn: note, error: note };
    const old = await applications.start('orders', [Orders], { schemas: { orders: OrderPlaced }, logger });
    await publish({ count: 7 }, 'orders', 'a', version2);
    await publish({ n: 1 }, 'orders', 'a');
    await publish({ n: 2 }, 'orders', 'b');
    await waitUntil(() => warnings.filter((text) => text.includes('waits')).length >= 2, {
      describe: 'it was delivered twice',
    });
    expect(warnings[0]).toMatch(/orders\[0]@0 waits: .* has version 2 .* roll that out/);
    expect(payloads()).toEqual([{ n: 2, currency: 'EUR' }]);
    const { failedAttempts = [] } = old.get(Waybill).consumerStatus?.counts ?? {};
    expect(failedAttempts.filter((count) => count > 0)).toEqual([]);
    await old.close();
    await applications.start('orders', [Orders], { schemas: { orders: OrderPlaced2 } });
    await waitUntil(() => seen.length === 3, {
      describe: 'the newer one, and the one after it, are handled',
      timeoutMs: 30_000,
    });
    expect(seen.slice(1)).toEqual([
      { payload: { count: 7 }, topic: 'orders', attempt: 1 },
      { payload: { count: 1 }, topic: 'orders', attempt: 1 },
    ]);
    expect(await letters()).toEqual([]);
  });

  test('waits no longer than maxAgeMs', async () => {
    const handlers = { retry: { maxAgeMs: 500 } };
    await publish({ count: 7 }, 'orders', 'a', version2);
    await applications.start('orders', [Orders], { schemas: { orders: OrderPlaced }, handlers });
    const { deadLetters } = applications.fixture;
    await waitUntil(async () => (await deadLetters.count()) === 1, { describe: 'it is a dead letter' });
    expect(await letters()).toMatchObject([
      { reason: 'too-old', errorClass: 'PayloadVersionUnknownError', attempts: 0 },
    ]);
  });
});

describe('the schemas of an application', () => {
  const start = (imports: readonly DynamicModule[], schemas = {}) =>
    applications.start('orders', [Everything], { imports, schemas });

  test('come from its parts, and apply by topic when a handler has several', async () => {
    const [eu, us] = [z.object({ eu: z.coerce.number() }), z.object({ us: z.string() })];
    const features = [{ schemas: { 'orders.eu': eu } }, { schemas: { 'orders.us': us, 'orders.eu': eu } }];
    await start(features.map((feature) => WaybillModule.forFeature(feature)));
    for (const topic of ['orders.eu', 'orders.us']) await publish({ eu: '1', us: 'x' }, topic);
    await waitUntil(() => seen.length === 2, { describe: 'both' });
    expect(payloads()).toEqual(expect.arrayContaining([{ eu: 1 }, { us: 'x' }]));
  });

  test('are overridden by the schema of a handler', async () => {
    await publish(unfit);
    await applications.start('orders', [ByItself], { schemas: { orders: OrderPlaced } });
    await waitUntil(() => seen.length === 1, {
      describe: "the message that fits the handler's schema is handled",
    });
    expect(payloads()).toEqual([-1]);
  });

  test('are refused when two parts differ, or a version has no upcaster', async () => {
    const feature = WaybillModule.forFeature({ schemas: { orders: z.object({}) } });
    await expect(start([feature], { orders: z.object({}) })).rejects.toThrow(
      'topic orders has two different schemas',
    );
    await expect(
      start([], { orders: { schema: OrderPlaced, version: 3, upcasters: { 1: String } } }),
    ).rejects.toThrow('no upcaster from version 2');
    expect(() => WaybillModule.forFeature({ schemas: { orders: 1 as never } })).toThrow('Standard Schema');
  });
});
