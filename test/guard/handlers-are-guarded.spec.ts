import 'reflect-metadata';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Controller, type INestMicroservice, type Type } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { newId } from '@waybill/kernel';
import {
  DeadLetters,
  drop,
  getWaybillToken,
  Idempotent,
  LeaseGuard,
  MessageIdGuard,
  retryIn,
  WaybillContext,
  WaybillModule,
  type WaybillModuleOptions,
  WaybillServer,
} from '@waybill/nestjs';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture } from '../support/fixture.js';
import { appendForeign, DAY_MS, idOf } from '../support/message-guard.js';
import { describeWithRedis } from '../support/timers.js';

const ANN = { by: 'ann' };

interface Order {
  readonly n: number;
  readonly order?: string;
}
type Context = WaybillContext<pg.PoolClient>;

/** What handlers have been called with, in memory: an effect outside any transaction. */
const calls: string[] = [];
let failing = false;

async function write(context: Context, who: string, n: number): Promise<{ by: string }> {
  calls.push(`${who} ${n}`);
  await context.transaction.query('insert into effect (consumer, n, message_id) values ($1, $2, $3)', [
    who,
    n,
    context.messageId,
  ]);
  if (failing) throw new Error('the gateway is away');
  return { by: who };
}

@Controller()
class Billing {
  @EventPattern<string>('orders')
  @Idempotent({ guard: 'message-id' })
  charge(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    return write(context, 'charge', n);
  }

  @Idempotent<Order>({ guard: 'message-id', id: ({ order }) => order, name: 'mail' })
  @EventPattern<string>('orders')
  mail(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    return write(context, 'mail', n);
  }
}

@Controller()
class Charging {
  @Idempotent({ guard: 'message-id' })
  @EventPattern<string>('orders')
  charge(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    return write(context, 'charge', n);
  }
}

@Controller()
class Unguarded {
  @EventPattern<string>('orders')
  @Idempotent()
  charge(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    return write(context, 'charge', n);
  }
}

@Controller()
class Undecided {
  @EventPattern<string>('orders')
  @Idempotent({ guard: 'message-id' })
  async charge(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    await write(context, 'charge', n);
    if (n === 1) return drop('not wanted');
    return calls.length === 1 ? retryIn(10) : undefined;
  }
}

@Controller()
class Gateway {
  @EventPattern<string>('orders')
  @Idempotent({ guard: 'lease' })
  async charge(@Payload() { n }: Order, @Ctx() context: Context): Promise<unknown> {
    calls.push(`gateway ${n}`);
    // Long enough for its duplicate, in another partition, to reach the guard at the same time.
    await context.transaction.query('select pg_sleep(0.1)');
    if (failing) throw new Error('the gateway is away');
    return { charged: n };
  }
}

let fixture: Fixture;
let app: INestMicroservice | undefined;
beforeEach(async () => {
  calls.length = 0;
  failing = false;
  fixture = await Fixture.create({ orders: { partitions: 2 } });
});
afterEach(async () => {
  await app?.close();
  app = undefined;
  await fixture.close();
});

const start = async (
  controller: Type,
  options: Partial<WaybillModuleOptions> = {},
): Promise<INestMicroservice> => {
  const imports = [
    WaybillModule.forRoot({
      ...fixture.moduleOptions,
      group: 'billing',
      consumer: { leaseMs: 20_000, heartbeatMs: 200 },
      handlers: { retry: { maxAttempts: 1 } },
      ...options,
    }),
  ];
  const module = await Test.createTestingModule({ imports, controllers: [controller] }).compile();
  app = module.createNestMicroservice({ strategy: module.get(WaybillServer), logger: false });
  await app.listen();
  return app;
};
const effects = async (): Promise<string[]> =>
  (
    await fixture.database.pool.query<{ what: string }>(
      `select consumer || ' ' || n as what from effect order by 1`,
    )
  ).rows.map(({ what }) => what);
/** Waits until every record of the log has a verdict. */
const allHandled = (count: number): Promise<void> =>
  waitUntil(
    async () =>
      (await fixture.value(
        `select (select coalesce(sum(position), 0) from (select distinct on (partition_id) position
                   from waybill.consumer_position order by partition_id, id desc) p)::int`,
      )) === count,
    { describe: 'everything has a verdict', timeoutMs: 20_000 },
  );

describe('a handler with the message-id guard', () => {
  test('handles a message once that its producer has sent twice; two handlers of a topic are guarded separately', async () => {
    await start(Billing);
    const [first, second] = [newId(), newId()];
    // The same message twice; then another message about the same order, which only one of the handlers distinguishes.
    await appendForeign(fixture, first, { n: 1, order: 'A' });
    await appendForeign(fixture, first, { n: 1, order: 'A' });
    await allHandled(2);
    await appendForeign(fixture, second, { n: 2, order: 'A' });
    await allHandled(3);
    expect(await effects()).toEqual(['charge 1', 'charge 2', 'mail 1']);
    expect(await app?.get(DeadLetters).count()).toBe(0);
  });

  test('without a guard for it, both copies take effect', async () => {
    await start(Unguarded);
    const id = newId();
    await appendForeign(fixture, id, { n: 1 });
    await appendForeign(fixture, id, { n: 1 });
    await allHandled(2);
    expect(await effects()).toEqual(['charge 1', 'charge 1']);
  });

  test('handles a message once when it is delivered again from the start', async () => {
    for (const n of [0, 1, 2, 3, 4]) await appendForeign(fixture, newId(), { n });
    await start(Charging);
    await allHandled(5);
    await app?.close();
    await fixture.database.pool.query('truncate waybill.consumer_position, waybill.delivery_mark');
    calls.length = 0;
    await start(Charging);
    await allHandled(5);
    expect(calls).toEqual([]);
    expect(await effects()).toEqual(upTo5('charge'));
  });

  test('handles a dead letter once when it is redriven after its copy was handled; and one from two weeks ago', async () => {
    const running = await start(Charging);
    const [id, old] = [newId(), idOf(Date.now() - 14 * DAY_MS)];
    failing = true;
    await appendForeign(fixture, id, { n: 1 });
    await appendForeign(fixture, old, { n: 2 }, 14 * DAY_MS);
    const operations = running.get(DeadLetters);
    await waitUntil(async () => (await operations.count()) === 2, { describe: 'both are dead letters' });
    failing = false;
    await appendForeign(fixture, id, { n: 1 });
    await waitUntil(async () => (await effects()).length === 1, { describe: 'the copy is handled' });
    for (const letter of await operations.list()) await operations.redrive(letter.id, ANN);
    await waitUntil(
      async () =>
        (await fixture.value(`select count(*)::int from waybill.dead_letter where state = 'redriven'`)) === 2,
      { describe: 'both are redriven' },
    );
    expect(await effects()).toEqual(['charge 1', 'charge 2']);
  });

  test('accepts one that was delayed for 300 days; those outside the window or without an id become dead letters', async () => {
    const running = await start(Charging);
    await appendForeign(fixture, idOf(Date.now() - 300 * DAY_MS), { n: 1 });
    await appendForeign(fixture, newId(), { n: 2 }, 41 * DAY_MS);
    await appendForeign(fixture, null, { n: 3 });
    const operations = running.get(DeadLetters);
    await waitUntil(async () => (await operations.count()) === 2, { describe: 'two are dead letters' });
    await waitUntil(async () => (await effects()).length === 1, { describe: 'one is handled' });
    expect(await effects()).toEqual(['charge 1']);
    const letters = await operations.list();
    expect(letters.map(({ errorClass, reason }) => `${errorClass} ${reason}`).toSorted()).toEqual([
      'IdOutsideWindowError not-retryable',
      'MessageIdInvalidError not-retryable',
    ]);
  });

  test('stores nothing when the handler returns a verdict', async () => {
    await start(Undecided);
    const id = newId();
    await appendForeign(fixture, id, { n: 0 });
    await waitUntil(async () => (await effects()).length === 1, {
      describe: 'it was handled when it was delivered again',
    });
    await appendForeign(fixture, newId(), { n: 1 });
    await allHandled(2);
    expect(await effects()).toEqual(['charge 0']);
    expect(await fixture.value('select count(*)::int from waybill.idempotent_message')).toBe(1);
  });
});

describe('a handler with the lease guard', () => {
  const twice = async (options: Partial<WaybillModuleOptions>): Promise<void> => {
    await start(Gateway, options);
    const id = newId();
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await fixture.transaction((tx) =>
        fixture.outbox.publish(tx, { topic: 'orders', id, key, payload: { n: 1 } }),
      );
    }
    await allHandled(6);
    expect(calls).toEqual(['gateway 1']);
    expect(await app?.get(DeadLetters).count()).toBe(0);
  };

  test('runs once for all copies, by PostgreSQL', () => twice({}));

  test('is free again when the handler fails', async () => {
    const running = await start(Gateway);
    failing = true;
    await appendForeign(fixture, newId(), { n: 1 });
    const operations = running.get(DeadLetters);
    await waitUntil(async () => (await operations.count()) === 1, { describe: 'it is a dead letter' });
    failing = false;
    const [letter] = await operations.list();
    await operations.redrive(letter?.id ?? 0, ANN);
    await waitUntil(() => calls.length === 2, { describe: 'it ran again' });
  });

  describeWithRedis('with Redis', (redis) => {
    test('runs once for all copies', () => twice({ redis: redis().url }));
    test('runs once for all copies, with PostgreSQL as its fallback', () =>
      twice({ redis: redis().url, guards: { withoutRedis: 'postgres' } }));
  });

  test('while Redis is unavailable it waits, and no attempt is counted', async () => {
    const running = await start(Gateway, { redis: 'redis://127.0.0.1:1' });
    await appendForeign(fixture, newId(), { n: 1 });
    await waitUntil(
      async () => (await fixture.value('select count(*)::int from waybill.parked_message')) === 1,
      {
        describe: 'it waits',
      },
    );
    expect(calls).toEqual([]);
    expect(await running.get(DeadLetters).count()).toBe(0);
  });
});

describe('an application', () => {
  test('injects the guards, including those of a named instance', async () => {
    const imports = [
      WaybillModule.forRoot({ ...fixture.moduleOptions }),
      WaybillModule.forRoot({ name: 'other', ...fixture.moduleOptions }),
    ];
    const module = await Test.createTestingModule({ imports }).compile();
    expect(module.get(MessageIdGuard)).toBeInstanceOf(MessageIdGuard);
    expect(module.get(LeaseGuard)).toBeInstanceOf(LeaseGuard);
    expect(module.get(getWaybillToken(MessageIdGuard, 'other'))).not.toBe(module.get(MessageIdGuard));
    await module.close();
  });

  test('does not start with windows shorter than the time in which a message may come again, and lists all problems', async () => {
    // The log is kept as a whole: a topic that the handler does not know counts as well.
    await fixture.topics.create('archive', { retentionMs: 50 * DAY_MS });
    const error = await start(Charging, {
      guards: { windowMs: 10 * DAY_MS },
      handlers: { retry: { backoff: 'fixed', delayMs: DAY_MS, maxAttempts: 12 } },
    }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'CONFIGURATION_INVALID',
      problems: [
        expect.stringMatching(
          /guards\.windowMs is 864000000 ms, but for Charging\.charge it must .* the log keeps/,
        ),
        expect.stringContaining('dead letters are kept'),
        expect.stringContaining('its attempts may take'),
      ],
    });
    await app?.close();
    const forEver = await start(Gateway, {
      guards: { lease: { windowMs: DAY_MS } },
      handlers: { retry: { onExhausted: 'block' } },
    }).catch((thrown: unknown) => thrown);
    expect(forEver).toMatchObject({
      problems: [
        expect.stringContaining('guards.lease.windowMs'),
        expect.stringContaining('dead letters'),
        expect.stringContaining('retried forever'),
      ],
    });
    await app?.close();
    // A guard that identifies a delivery by its offset needs no window.
    await start(Unguarded, { guards: { windowMs: 60_000 } });
  });

  test('refuses a decorator whose options do not fit', () => {
    expect(() => Idempotent({ guard: 'message' as never, name: '' })).toThrow('guard must be one of');
    expect(() => Idempotent({ id: () => 'x' })).toThrow('leave out id');
  });
});

function upTo5(who: string): string[] {
  return [0, 1, 2, 3, 4].map((n) => `${who} ${n}`);
}
