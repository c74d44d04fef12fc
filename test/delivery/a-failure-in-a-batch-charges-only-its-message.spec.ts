import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { BatchFailure, type BatchHandler, type Delivery, type Handler } from '@waybill/consumer';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { ShopFloor } from '../support/shop-floor.js';

const MESSAGES = 120;
const KEYS = 12;
const ATTEMPTS = 2;

const CONFLICT = `do $$ begin raise exception using errcode = '40001', message = 'a conflict'; end $$`;

/** What the handler of a message does. */
type Mood = 'works' | 'throws' | 'throws once' | 'catches' | 'breaks commit' | 'conflicts once';

/** Those that never succeed. */
const HOPELESS: readonly Mood[] = ['throws', 'catches', 'breaks commit'];

let fixture: Fixture;
let floor: ShopFloor;
beforeEach(async () => {
  fixture = await Fixture.create({ orders: { partitions: 1 } });
  floor = new ShopFloor(fixture);
  await fixture.database.pool.query(
    `create table product (id int primary key);
     create table line (n int, product int references product (id) deferrable initially deferred)`,
  );
});
afterEach(async () => {
  await floor.close();
  await fixture.close();
});

/** How the handler gets its messages, and whether it says which has failed. */
type Calls = 'one by one' | 'in batches' | 'in batches, and names the failed one';

describe.each<[Calls, 'key' | 'partition', readonly number[]]>([
  ['one by one', 'key', [11, 12, 13, 14]],
  ['one by one', 'partition', [11, 12, 13, 14]],
  ['in batches', 'key', [21, 22]],
  ['in batches', 'partition', [23]],
  ['in batches, and names the failed one', 'key', [24, 25]],
  ['in batches, and names the failed one', 'partition', [26]],
])('messages %s in order %s', (how, concurrency, seeds) => {
  test.each(seeds)(
    'every message takes effect once, and only those that fail by themselves are charged (seed %i)',
    async (seed) => {
      const moods = moodsOf(seed);
      const calls = new Map<number, number>();
      const conflicts = new Set<number>();
      const handler: Handler = async (delivery) => {
        const n = numberOf(delivery);
        const mood = moods[n] as Mood;
        calls.set(n, (calls.get(n) ?? 0) + 1);
        await floor.keep(delivery);
        const client = delivery.transaction as pg.PoolClient;
        if (mood === 'throws' || (mood === 'throws once' && delivery.attempt === 1))
          throw new Error(`message ${n} fails`);
        if (mood === 'catches') await client.query('select 1 / 0').catch(() => {});
        if (mood === 'breaks commit') await client.query('insert into line values ($1, 1)', [n]);
        if (mood === 'conflicts once' && !conflicts.has(n)) {
          conflicts.add(n);
          await client.query(CONFLICT);
        }
      };
      await floor.publish(upTo(MESSAGES).map((n) => ({ n, key: `key-${n % KEYS}` })));
      const retry = { maxAttempts: ATTEMPTS, immediateAttempts: 0, delayMs: 5 };
      const consumer =
        how === 'one by one'
          ? await floor.consume(handler, { concurrency, retry, batchMs: 10_000 })
          : await floor.consumeBatches(batched(handler, how), { concurrency, retry, batch: { max: 50 } });
      const hopeless = upTo(MESSAGES).filter((n) => HOPELESS.includes(moods[n] as Mood));
      const letters = async (): Promise<{ n: number; attempts: number; reason: string }[]> => {
        const { rows } = await fixture.database.pool.query<{ n: number; attempts: number; reason: string }>(
          `select (convert_from(payload, 'UTF8')::json ->> 'n')::int as n, attempts, reason from waybill.dead_letter order by 1`,
        );
        return rows;
      };
      await waitUntil(async () => (await floor.effects()).length + (await letters()).length >= MESSAGES, {
        describe: 'all have ended',
        timeoutMs: 60_000,
      });
      await consumer.stop();

      const effects = await floor.effects();
      expect(effects.toSorted((a, b) => a - b)).toEqual(upTo(MESSAGES).filter((n) => !hopeless.includes(n)));
      for (const key of upTo(KEYS))
        expect(await floor.effects(`key-${key}`)).toEqual(
          upTo(MESSAGES).filter((n) => n % KEYS === key && !hopeless.includes(n)),
        );
      expect(await letters()).toEqual(
        hopeless.map((n) => ({ n, attempts: ATTEMPTS, reason: 'attempts-spent' })),
      );
      // An attempt is counted where it was its message's own.
      const { rows } = await fixture.database.pool.query<{ n: number; attempt: number }>(
        'select n, attempt from effect',
      );
      for (const { n, attempt } of rows)
        expect([n, attempt]).toEqual([n, moods[n] === 'throws once' ? 2 : 1]);
      // They did share transactions.
      expect(await fixture.value('select count(distinct xmin::text)::int from effect')).toBeLessThan(
        effects.length,
      );
    },
    90_000,
  );
});

test('the order stays when a batch that met a conflict fails again in its first half', async () => {
  const calls: number[] = [];
  const handler: Handler = async (delivery) => {
    const n = numberOf(delivery);
    calls.push(n);
    await floor.keep(delivery);
    const isFirst = calls.indexOf(n) === calls.length - 1;
    if (n === 16 && isFirst) await (delivery.transaction as pg.PoolClient).query(CONFLICT);
    if (n === 18 && isFirst) throw new Error('it fails in company');
  };
  await floor.publish(upTo(60).map((n) => ({ n, key: 'key' })));
  const retry = { maxAttempts: 1 };
  await floor.consume(handler, { concurrency: 'partition', retry, batchMs: 10_000 });
  await waitUntil(async () => (await floor.effects()).length === 60, {
    describe: 'all have ended',
    timeoutMs: 20_000,
  });
  expect(await floor.effects()).toEqual(upTo(60));
  // The transactions before had 1, 2, 4 and 8 messages, and this one 16.
  expect(calls.slice(calls.indexOf(15)).slice(0, 6)).toEqual([15, 16, 15, 16, 17, 18]);
});

test('what one part of a failed batch has committed does not run again when a later part meets a conflict', async () => {
  const calls: number[] = [];
  const handler: Handler = async (delivery) => {
    const n = numberOf(delivery);
    calls.push(n);
    await floor.keep(delivery);
    const client = delivery.transaction as pg.PoolClient;
    if (n === 12) await client.query('insert into line values ($1, 1)', [n]);
    if (n === 11 && calls.filter((other) => other === n).length === 2) await client.query(CONFLICT);
  };
  await floor.publish(upTo(15).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', retry: { maxAttempts: 1 }, batchMs: 10_000 });
  await waitUntil(async () => (await floor.effects()).length >= 14, {
    describe: 'all have ended',
    timeoutMs: 20_000,
  });
  expect(await floor.effects()).toEqual(upTo(15).filter((n) => n !== 12));
  // All of the batch, its first half, and the second, which met the conflict.
  expect(calls.slice(7, 21)).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 7, 8, 9, 10, 11, 11]);
});

test('what is left of a part when the time of the batch is over runs before the next part', async () => {
  const calls: number[] = [];
  const handler: Handler = async (delivery) => {
    const n = numberOf(delivery);
    calls.push(n);
    await floor.keep(delivery);
    const times = calls.filter((other) => other === n).length;
    if (n === 12 && times === 1)
      await (delivery.transaction as pg.PoolClient).query('insert into line values ($1, 1)', [n]);
    // Longer than the handlers of a batch may take: five times batchMs.
    if (n === 8 && times === 2) await new Promise((resolve) => setTimeout(resolve, 1_050));
  };
  await floor.publish(upTo(15).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', batchMs: 200 });
  await waitUntil(async () => (await floor.effects()).length === 15, { describe: 'all have ended' });
  expect(await floor.effects()).toEqual(upTo(15));
  expect(calls.slice(7, 18)).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 7, 8, 9]);
});

test('no handler is called in a transaction in which another has swallowed a failure', async () => {
  const calls: number[] = [];
  const handler: Handler = async (delivery) => {
    const n = numberOf(delivery);
    calls.push(n);
    await floor.keep(delivery);
    if (n === 12) await (delivery.transaction as pg.PoolClient).query('select 1 / 0').catch(() => {});
  };
  await floor.publish(upTo(15).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', retry: { maxAttempts: 1 }, batchMs: 10_000 });
  await waitUntil(async () => (await floor.effects()).length === 14, { describe: 'all have ended' });
  expect(calls.slice(7)).toEqual([7, 8, 9, 10, 11, 12, 7, 8, 9, 10, 11, 12, 13, 14]);
});

test('of the messages that shared a lost connection, only the one that was running runs alone afterwards', async () => {
  let isLost = false;
  const handler: Handler = async (delivery) => {
    await floor.keep(delivery);
    if (numberOf(delivery) !== 10 || isLost) return;
    isLost = true;
    await (delivery.transaction as pg.PoolClient).query('select pg_terminate_backend(pg_backend_pid())');
  };
  await floor.publish(upTo(15).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', batchMs: 10_000 });
  await waitUntil(async () => (await floor.effects()).length === 15, { describe: 'all have ended' });
  const { rows } = await fixture.database.pool.query<{ shared: number[] }>(
    'select array_agg(n order by id) as shared from effect where n >= 7 group by xmin::text order by min(id)',
  );
  // 7 to 14 shared the connection. A lane that is opened again begins with one message, and doubles.
  expect(rows.map(({ shared }) => shared)).toEqual([[7], [8, 9], [10], [11, 12, 13, 14]]);
});

test('later deliveries do not wait for a position whose transaction failed', async () => {
  const handler: Handler = async (delivery) => {
    await floor.keep(delivery);
    if (numberOf(delivery) === 5)
      await (delivery.transaction as pg.PoolClient).query('insert into line values (5, 1)');
  };
  // More than are noted as begun at a time.
  await floor.publish(upTo(400).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', retry: { maxAttempts: 1 } });
  await waitUntil(async () => (await floor.effects()).length === 399, { describe: 'all have ended' });
});

test('a handler that is slow at times holds up only those behind it in its transaction, and no more begin', async () => {
  const seen: { n: number; xid: string }[] = [];
  const skipped: number[] = [];
  const handler: Handler = async (delivery) => {
    const n = numberOf(delivery);
    const { rows } = await (delivery.transaction as pg.PoolClient).query<{ xid: string; position: number }>(
      `select pg_current_xact_id()::text as xid,
              (select coalesce(max(position), 0)::int from waybill.consumer_position) as position`,
    );
    const [at] = rows;
    if (at === undefined || at.position > n) skipped.push(n);
    if (n === 20) await new Promise((resolve) => setTimeout(resolve, 300));
    seen.push({ n, xid: at?.xid ?? '' });
  };
  await floor.publish(upTo(60).map((n) => ({ n, key: 'key' })));
  await floor.consume(handler, { concurrency: 'partition', batchMs: 50 });
  await waitUntil(() => seen.length === 60, { describe: 'all are handled', timeoutMs: 20_000 });
  const slow = seen.find(({ n }) => n === 20)?.xid;
  expect(seen.map(({ n }) => n)).toEqual(upTo(60));
  // If the process had crashed then, the next owner would have gone on behind them.
  expect(skipped).toEqual([]);
  expect(seen.findLast(({ xid }) => xid === slow)?.n).toBe(20);
  expect(new Set(seen.map(({ xid }) => xid)).size).toBeLessThan(30);
});

function batched(handler: Handler, how: Calls): BatchHandler {
  return async (deliveries) => {
    for (const [index, delivery] of deliveries.entries()) {
      try {
        await handler(delivery);
      } catch (error) {
        throw how === 'in batches' ? error : new BatchFailure(index, error);
      }
    }
  };
}

function numberOf({ payload }: Delivery): number {
  return (payload as { n: number }).n;
}

/** One in six messages has trouble. */
function moodsOf(seed: number): readonly Mood[] {
  const troubles: readonly Mood[] = ['throws', 'throws once', 'catches', 'breaks commit', 'conflicts once'];
  let state = seed;
  const below = (end: number): number => {
    // A linear congruential generator (Numerical Recipes), so that a failed run can be repeated.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  return upTo(MESSAGES).map(() => (below(6) === 0 ? (troubles[below(troubles.length)] as Mood) : 'works'));
}
