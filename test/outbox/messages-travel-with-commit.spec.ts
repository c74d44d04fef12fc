import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import { Bell, type TransactionRunner } from '@waybill/kernel';
import { Waybill } from '@waybill/nestjs';
import { OutboxTransactions, type TransactionOutbox } from '@waybill/outbox';
import { PrismaTransactionRunner } from '@waybill/outbox/internal';
import { Timers } from '@waybill/timer';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { PrismaClient } from '../../src/orders/generated/client.js';
import { Fixture, numbersOf, upTo } from '../support/fixture.js';
import { outboxOf, runnerOn } from '../support/places.js';

/** Runs SQL in a transaction, for any driver. */
type Execute = (text: string, ...values: unknown[]) => Promise<unknown>;

interface Driver {
  readonly kind: 'pg' | 'prisma';
  runner(fixture: Fixture, prisma: PrismaClient): TransactionRunner;
  execute(tx: unknown): Execute;
}

const DRIVERS: readonly Driver[] = [
  {
    kind: 'pg',
    runner: (fixture) => runnerOn(fixture.database) as TransactionRunner,
    execute:
      (tx) =>
      (text, ...values) =>
        (tx as pg.PoolClient).query(text, values),
  },
  {
    kind: 'prisma',
    runner: (_, prisma) => new PrismaTransactionRunner(prisma, 'waybill') as TransactionRunner,
    execute:
      (tx) =>
      (text, ...values) =>
        (tx as PrismaClient).$executeRawUnsafe(text, ...values),
  },
];

const refused = expect.objectContaining({ code: 'TRANSACTION_REQUIRED' });

describe.each(DRIVERS)('a business transaction of $kind', ({ kind, runner, execute }) => {
  let fixture: Fixture;
  let prisma: PrismaClient;
  let transactions: OutboxTransactions;
  beforeAll(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
    prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: fixture.url }) });
    await fixture.database.pool.query('create table business (n integer primary key)');
  });
  beforeEach(() => {
    transactions = new OutboxTransactions(fixture.outbox, runner(fixture, prisma));
  });
  afterAll(async () => {
    await prisma.$disconnect();
    await fixture.close();
  });

  const message = (n: number) => ({ topic: 'orders', key: 'k', payload: { n } });
  const insert = (tx: unknown, n: number) => execute(tx)('insert into business (n) values ($1)', n);
  const isWritten = async (n: number): Promise<boolean> =>
    (await fixture.value('select count(*)::integer from business where n = $1', [n])) === 1;
  const published = async (): Promise<number[]> => {
    await fixture.moveAll();
    return (await fixture.log()).map(({ payload }) => payload.n);
  };

  test('writes its messages when it commits, and not before', async () => {
    const [result, id] = await transactions.run(async (tx, outbox) => {
      await insert(tx, 1);
      const sent = outbox.publish(message(1));
      expect(await published()).toEqual([]);
      return ['done', sent.id];
    });
    expect(result).toBe('done');
    expect(await isWritten(1)).toBe(true);
    expect(await published()).toEqual([1]);
    expect((await fixture.log()).map((record) => record.id)).toEqual([id]);
  });

  test('publishes nothing when it throws, not even when a message is refused', async () => {
    const before = await published();
    const failing = transactions.run(async (tx, outbox) => {
      await insert(tx, 2);
      outbox.publish(message(2));
      throw new Error('rolled back on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    const invalid = transactions.run(async (tx, outbox) => {
      await insert(tx, 2);
      outbox.publishMany([message(2), { ...message(2), id: 'no UUID' }]);
    });
    await expect(invalid).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(await isWritten(2)).toBe(false);
    expect(await published()).toEqual(before);
  });

  test('rolls its rows back when a topic or a partition does not exist', async () => {
    const before = await published();
    const publish = (...messages: Parameters<TransactionOutbox['publishMany']>[0]) =>
      transactions.run(async (tx, outbox) => {
        await insert(tx, 3);
        outbox.publishMany(messages);
      });
    const nowhere = { topic: 'nowhere', payload: { n: 3 } };
    const beyond = { topic: 'orders', payload: { n: 3 }, partition: 7 };
    await expect(publish(nowhere)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    await expect(publish(message(3), nowhere)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    await expect(publish(beyond)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    await expect(publish(message(3), beyond)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    expect(await isWritten(3)).toBe(false);
    expect(await published()).toEqual(before);
    await publish(message(3));
    expect(await isWritten(3)).toBe(true);
    expect(await published()).toEqual([...before, 3]);
  });

  test('keeps the order of its messages, whether two or more than fit into a statement', async () => {
    const before = await published();
    const numbers = upTo(1_201).map((n) => 1_000 + n);
    const [first, second, ...rest] = numbers.map(message);
    await transactions.run(async (_, outbox) => {
      outbox.publish(first as ReturnType<typeof message>);
      outbox.publish(second as ReturnType<typeof message>);
    });
    await transactions.run(async (_, outbox) => {
      outbox.publishMany(rest);
    });
    expect(await published()).toEqual([...before, ...numbers]);
  });

  test('cancels and moves, in the order of the calls, messages that it has scheduled', async () => {
    const [cancelled, moved] = await transactions.run(async (_, outbox) => {
      const first = outbox.publish({ ...message(80), delayMs: 3_600_000, timerToken: `token-${kind}` });
      outbox.cancelTimer({ token: `token-${kind}` });
      const second = outbox.publish({ ...message(81), delayMs: 3_600_000 });
      outbox.rescheduleTimer({ id: second.id }, { delayMs: 7_200_000 });
      return [first.id, second.id];
    });
    await fixture.moveAll();
    const timers = new Timers(fixture.database.session);
    expect(await timers.get(cancelled ?? '')).toBeUndefined();
    const { dueAt } = (await timers.get(moved ?? '')) ?? {};
    expect(dueAt?.getTime()).toBeGreaterThan(Date.now() + 6_000_000);
  });

  test('refuses what is published after its work has ended, by success, failure or time-out', async () => {
    const before = await published();
    const leaked: TransactionOutbox[] = [];
    await transactions.run(async (_, outbox) => leaked.push(outbox));
    const failing = transactions.run(async (_, outbox) => {
      leaked.push(outbox);
      throw new Error('rolled back on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    let release: () => void = () => undefined;
    const short = new OutboxTransactions(fixture.outbox, runner(fixture, prisma), { timeoutMs: 100 });
    const late = short.run(async (_, outbox) => {
      leaked.push(outbox);
      outbox.publish(message(5));
      await new Promise<void>((resolve) => (release = resolve));
    });
    await expect(late).rejects.toThrow('did not end within 100 ms');
    expect(leaked).toHaveLength(3);
    for (const outbox of leaked) {
      expect(() => outbox.publish(message(5))).toThrow(refused);
      expect(() => outbox.publishMany([message(5)])).toThrow(refused);
    }
    release();
    expect(await published()).toEqual(before);
  });

  test('in which a statement has failed never counts as committed, with or without a message', async () => {
    const before = await published();
    for (const messages of [[], [message(6)]]) {
      const swallowing = transactions.run(async (tx, outbox) => {
        outbox.publishMany(messages);
        await insert(tx, 6);
        await execute(tx)('select 1 / 0').catch(() => undefined);
      });
      await expect(swallowing).rejects.toThrow(/rolled back|has already failed/);
    }
    expect(await isWritten(6)).toBe(false);
    expect(await published()).toEqual(before);
  });

  test('of order "strict" takes the turn of its key before it writes its message', async () => {
    const before = await published();
    const strict = outboxOf({ order: 'strict' });
    const holder = await fixture.database.pool.connect();
    await holder.query('begin');
    await strict.publish(holder, message(70));
    const running = new OutboxTransactions(strict, runner(fixture, prisma)).run(async (_, outbox) => {
      outbox.publish(message(71));
    });
    const waiting = `select count(*)::integer from pg_locks where locktype = 'advisory' and not granted`;
    await waitUntil(async () => (await fixture.value(waiting)) === 1, {
      describe: () => 'the second publisher waits for the first',
    });
    await strict.publish(holder, message(72));
    await holder.query('commit');
    holder.release();
    await running;
    expect(await published()).toEqual([...before, 70, 72, 71]);
  });

  test("rings the relay's bell after its commit, and only if it has published", async () => {
    const bell = new Bell();
    let rings = 0;
    bell.onRing(() => (rings += 1));
    const ringing = new OutboxTransactions(outboxOf({ bell }), runner(fixture, prisma));
    await ringing.run(async () => undefined);
    expect(rings).toBe(0);
    await ringing.run(async (_, outbox) => {
      outbox.publish(message(8));
      expect(rings).toBe(0);
    });
    expect(rings).toBe(1);
    expect(numbersOf(await fixture.log())).not.toContain(8);
    expect(await published()).toContain(8);
  });

  if (kind === 'pg') {
    test('fails when its work has rolled it back itself', async () => {
      const before = await published();
      const ending = transactions.run(async (tx, outbox) => {
        outbox.publish(message(9));
        await execute(tx)('rollback');
      });
      await expect(ending).rejects.toEqual(refused);
      expect(await published()).toEqual(before);
    });
  }

  test('is refused when its schema is not that of the outbox', () => {
    expect(() => new OutboxTransactions(outboxOf({ schema: 'other' }), runner(fixture, prisma))).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});

test("Nest's module runs business transactions like those of its handlers", async () => {
  const fixture = await Fixture.create();
  const waybill = new Waybill('default', {
    ...fixture.moduleOptions,
    relay: false,
    consumer: false,
  });
  try {
    await waybill.transaction(async (tx: pg.PoolClient, outbox) => {
      await tx.query(`insert into effect (n) values (1)`);
      outbox.publish({ topic: 'orders', key: 'k', payload: { n: 1 } });
    });
    await fixture.moveAll();
    expect(await fixture.value('select n from effect')).toBe(1);
    expect(numbersOf(await fixture.log())).toEqual([1]);
  } finally {
    await waybill.stop();
    await fixture.close();
  }
});
