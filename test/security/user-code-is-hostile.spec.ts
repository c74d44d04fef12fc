import { createContext, runInContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  Consumer,
  deadLetter,
  type Handler,
  resolveSubscription,
  type SubscriptionOptions,
} from '@waybill/consumer';
import {
  describeError,
  type Logger,
  PgTransactionRunner,
  RetryableError,
  type TransactionRunner,
} from '@waybill/kernel';
import { describeThrown } from '@waybill/kernel/internal';
import { type Codec, jsonCodec } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';

const given = (error: Error, fields: object): Error => Object.assign(error, fields);
const circular = (): object => {
  const one: Record<string, unknown> = { name: 'round' };
  return Object.assign(one, { self: one });
};
const hostile = (): object =>
  new Proxy(
    {},
    {
      get: () => {
        throw new Error('no look');
      },
      getPrototypeOf: () => {
        throw new Error('no class');
      },
      ownKeys: () => {
        throw new Error('no keys');
      },
    },
  );
class Getters extends Error {
  override get message(): string {
    throw new Error('no message');
  }
}
class Nul extends Error {
  static {
    Object.defineProperty(this, 'name', { value: 'N\0ul' });
  }
}

const THROWN: readonly (readonly [name: string, make: () => unknown])[] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['a number', () => 7],
  ['a BigInt', () => 10n],
  ['a symbol', () => Symbol('odd')],
  ['a function', () => () => undefined],
  ['an object without a prototype', () => Object.create(null) as unknown],
  ['a circular object', circular],
  ['an object with a BigInt', () => ({ amount: 10n })],
  ['an object whose toJSON throws', () => ({ toJSON: () => JSON.parse('{') as unknown })],
  ['a proxy that refuses every access', hostile],
  ['an error with such a cause', () => new Error('outer', { cause: hostile() })],
  ['an error whose message throws', () => new Getters('x')],
  ['an error whose message is not a string', () => given(new Error('x'), { message: { deep: 1n } })],
  ['an error whose stack is not a string', () => given(new Error('x'), { stack: 5 })],
  ['an error whose stack is an object', () => given(new Error('x'), { stack: circular() })],
  ['an error whose name is not a string', () => given(new Error('x'), { name: Symbol('s') })],
  ['an error without a constructor', () => given(new Error('x'), { constructor: undefined })],
  ['a code with a NUL', () => given(new Error('x'), { code: 'E\0CODE' })],
  ['a message with a NUL and an unpaired surrogate', () => new Error('a\0b\ud800c')],
  ['a class with a NUL', () => new Nul('x')],
  ['a very long code', () => given(new Error('x'), { code: 'X'.repeat(100_000) })],
  ['a very long message', () => new Error('m'.repeat(5_000_000))],
  [
    'an error of another realm',
    () => runInContext(`new RangeError('from elsewhere')`, createContext({})) as unknown,
  ],
  ['a getResponse that throws', () => given(new Error('x'), { getResponse: hostile })],
  ['an endless delay', () => new RetryableError('later', { delayMs: Number.NaN })],
  ['a verdict whose reason is not a string', () => deadLetter({} as string)],
  ['a verdict with a NUL', () => deadLetter('no\0pe')],
];

let fixture: Fixture;
let consumer: Consumer;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 }, replies: { partitions: 1 } });
});
afterEach(async () => {
  await consumer.stop();
  await fixture.close();
});

const consume = async (
  handler: Handler,
  options: SubscriptionOptions = {},
  logger?: Logger,
): Promise<void> => {
  consumer = new Consumer(
    {
      group: 'test',
      subscriptions: [
        resolveSubscription('orders', handler, { retry: { maxAttempts: 2, delayMs: 1 }, ...options }),
      ],
      database: fixture.database,
      transactions: new PgTransactionRunner(fixture.database) as TransactionRunner,
      log: fixture.engine,
      ...(logger === undefined ? {} : { logger }),
    },
    { leaseMs: 20_000, heartbeatMs: 200, pollMaxMs: 50 },
  );
  await consumer.start();
};
const insert: Handler = ({ transaction, payload }) =>
  (transaction as pg.PoolClient).query('insert into effect (n) values ($1)', [(payload as { n: number }).n]);
const effects = (): Promise<number> => fixture.value('select count(*)::int from effect');
/** The first message of its key, and of its partition, fails; the others take effect. */
const settled = async (): Promise<void> => {
  await waitUntil(async () => (await fixture.deadLetters.list()).length === 1, {
    describe: 'it is a dead letter',
  });
  await waitUntil(async () => (await effects()) === 4, { describe: 'the others take effect' });
};
const publish = async (): Promise<void> => {
  for (const n of upTo(5)) await fixture.publish(n, n < 3 ? 'same' : `other-${n}`);
  await fixture.moveAll();
};

test.each(['key', 'partition'] as const)(
  'anything that a handler throws makes its message a dead letter, and stops no other, in order %s',
  async (concurrency) => {
    // Each odd one, followed by a good one of its key.
    for (const [index] of THROWN.entries()) {
      await fixture.publish(2 * index, `key-${index}`);
      await fixture.publish(2 * index + 1, `key-${index}`);
    }
    await fixture.moveAll();
    await consume(
      (delivery) => {
        const { n } = delivery.payload as { n: number };
        if (n % 2 === 0) throw THROWN[n / 2]?.[1]();
        return insert(delivery);
      },
      { concurrency },
    );
    const letters = async (): Promise<number> =>
      fixture.value('select count(*)::int from waybill.dead_letter');
    const missing = (): Promise<unknown> =>
      fixture.value(
        `select string_agg(x.n::text, ',') from generate_series(0, $1) x (n)
          where not exists (select from waybill.dead_letter d
                             where convert_from(d.payload, 'UTF8')::json->>'n' = (2 * x.n)::text)`,
        [THROWN.length - 1],
      );
    await waitUntil(async () => (await letters()) === THROWN.length && (await effects()) === THROWN.length, {
      describe: () => 'each odd one is a dead letter, and each good one takes effect',
      timeoutMs: 40_000,
    }).catch(async (error: unknown) => {
      throw new Error(`without a dead letter: ${String(await missing())}`, { cause: error });
    });
  },
  60_000,
);

test('every thrown value has a description that can be stored', async () => {
  await consume(insert);
  for (const [, make] of THROWN) {
    const { className, name, code, message, stack } = describeThrown(make());
    for (const text of [className, name, code ?? '', message, stack ?? '', describeError(make())]) {
      expect(typeof text).toBe('string');
      expect(text.length).toBeLessThan(9_000);
      expect(text).not.toMatch(/\0|[\ud800-\udbff](?![\udc00-\udfff])/);
    }
  }
});

test.each([
  ['throws', () => JSON.parse('{') as number],
  ['returns NaN', () => Number.NaN],
  ['returns a Promise', () => Promise.reject(new Error('late')) as unknown as number],
  ['returns a string', () => 'soon' as unknown as number],
  ['returns a negative number', () => -5],
])('a policy whose delay() %s waits for the maximum, and continues', async (_, delay) => {
  await publish();
  await consume(
    (delivery) => {
      if ((delivery.payload as { n: number }).n === 0) throw new Error('on purpose');
      return insert(delivery);
    },
    { retry: { maxAttempts: 3, immediateAttempts: 1, backoff: 'custom', delay, maxDelayMs: 20 } },
  );
  await settled();
});

test('a class whose instanceof throws matches no error', async () => {
  class Picky extends Error {
    static override [Symbol.hasInstance](): boolean {
      throw new Error('do not ask');
    }
  }
  await publish();
  await consume(
    (delivery) => {
      if ((delivery.payload as { n: number }).n === 0) throw new Error('on purpose');
      return insert(delivery);
    },
    { retry: { maxAttempts: 2, delayMs: 1, byError: [{ error: Picky, retry: 'never' }] } },
  );
  await settled();
});

test('a logger that throws, and one that fails later, stops no work', async () => {
  const fails = (): never => {
    throw new Error('the disk of the log is full');
  };
  const later = (): void => void Promise.reject(new Error('later')).catch(() => undefined);
  for (const write of [fails, later]) {
    await fixture.database.pool.query('truncate effect; truncate waybill.dead_letter');
    await publish();
    await consume(
      (delivery) => {
        if ((delivery.payload as { n: number }).n === 0) throw new Error('on purpose');
        return insert(delivery);
      },
      {},
      { debug: write, info: write, warn: write, error: write },
    );
    await settled();
    await consumer.stop();
  }
});

describe('a codec', () => {
  const reading = (decode: (bytes: Buffer) => unknown): Codec => ({
    ...jsonCodec,
    decode: (bytes) => (bytes.toString().includes('"n":0') ? decode(bytes) : jsonCodec.decode(bytes)),
  });
  test.each([
    [
      'throws an odd value',
      () => {
        throw Object.create(null) as Error;
      },
    ],
    ['returns a Promise', () => Promise.reject(new Error('late'))],
  ])('that %s makes a dead letter of one message', async (_, decode) => {
    await publish();
    await consume(insert, { codec: reading(decode) });
    await settled();
    expect(await fixture.deadLetters.list()).toMatchObject([{ reason: 'payload-unreadable' }]);
  });
});

test('an after-commit callback of a handler may throw: the handler takes effect, once', async () => {
  await publish();
  await consume((delivery) => {
    delivery.afterCommit(() => {
      throw new Error('at once');
    });
    return insert(delivery);
  });
  await waitUntil(async () => (await effects()) >= 5, { describe: 'all take effect' });
  await consumer.stop();
  expect(await effects()).toBe(5);
  expect(await fixture.deadLetters.list()).toEqual([]);
});
