import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Consumer, type Handler, resolveSubscription } from '@waybill/consumer';
import { PgDatabase, PgTransactionRunner, type TransactionRunner } from '@waybill/kernel';
import { PostgresLogEngine } from '@waybill/log/postgres';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { TcpProxy } from '../chaos/src/faults/tcp-proxy.js';

/** What a consumer writes under its fence, by a part of the statement's text. */
const WRITES = [
  'progress_take(',
  'progress_retake(',
  'update "waybill".progress_owner',
  'advance(',
  'advance_all(',
  'fence(',
  'insert into "waybill".parked_message',
  'update "waybill".parked_message',
  'delete from "waybill".parked_message',
  'insert into "waybill".dead_letter',
  'insert into "waybill".crash_charge',
] as const;

describe.each(['key', 'partition'] as const)(
  'a statement whose response was lost and whose copy arrives late, in order %s',
  (concurrency) => {
    let fixture: Fixture;
    let proxy: TcpProxy;
    let database: PgDatabase;
    let consumer: Consumer;
    beforeEach(async () => {
      fixture = await Fixture.create({ orders: { partitions: 2 } });
      proxy = await TcpProxy.start(fixture.url);
      database = new PgDatabase({ connectionString: proxy.url, connectionsMax: 20 });
    });
    afterEach(async () => {
      await consumer.stop();
      await database.close();
      await proxy.close();
      await fixture.close();
    });

    const handled = (): Promise<number> => fixture.value('select count(*)::int from effect');

    test.each([1, 2])(
      'repeats no effect and loses none (seed %i)',
      async (seed) => {
        const random = randomFrom(seed);
        const handler: Handler = async ({ transaction, payload, attempt, key }) => {
          const { n } = payload as { n: number };
          await (transaction as pg.PoolClient).query('insert into effect (n, key) values ($1, $2)', [n, key]);
          if (n % 7 === 0 && attempt === 1) throw new Error('fails once on purpose');
          if (n % 31 === 0) throw new Error('fails always on purpose');
        };
        consumer = new Consumer(
          {
            group: 'test',
            subscriptions: [
              resolveSubscription('orders', handler, {
                concurrency,
                retry: { maxAttempts: 3, delayMs: 20 },
                maxProcessingMs: 5_000,
                transactionBatch: 2,
              }),
            ],
            database,
            transactions: new PgTransactionRunner(database, false) as TransactionRunner,
            log: new PostgresLogEngine(database),
          },
          { leaseMs: 20_000, heartbeatMs: 200, preparedStatements: false, pollMaxMs: 50 },
        );
        const total = 150;
        const dead = upTo(total).filter((n) => n % 31 === 0);
        const publishing = (async () => {
          for (const n of upTo(total)) {
            await fixture.publish(n, `key-${n % 12}`);
            if (n % 10 === 9) await fixture.moveAll();
          }
        })();
        await consumer.start();
        let disturbed = 0;
        let isOver = false;
        let state = '';
        const isQuiet = async (): Promise<boolean> => {
          const [effects, letters] = [await handled(), await fixture.deadLetters.list()];
          state = JSON.stringify({
            effects,
            letters: letters.map(({ reason }) => reason),
            ...consumer.status,
          });
          return effects >= total - dead.length && letters.length >= dead.length;
        };
        const disturbing = (async () => {
          while (!isOver && disturbed < 12) {
            const held = proxy.holdWhenSent(WRITES, Math.floor(random() * 6));
            const caught = await Promise.race([
              held,
              waitUntil(isQuiet, { describe: 'no delivery is pending', timeoutMs: 120_000 }),
            ]);
            if (typeof caught !== 'object') return;
            disturbed += 1;
            const before = await handled();
            const wait = 1 + Math.floor(random() * 6);
            // Late: after others have been handled, under a new epoch; or at once, when no other message comes.
            await waitUntil(async () => (await handled()) >= before + wait || (await isQuiet()), {
              describe: 'others are handled',
              timeoutMs: 300,
            }).catch(() => undefined);
            await caught.deliver();
            // The next owner starts where the database says.
            proxy.cut();
          }
        })();
        await publishing;
        await waitUntil(isQuiet, {
          timeoutMs: 100_000,
          describe: () => `every message has its effect or is a dead letter: ${state}`,
        });
        isOver = true;
        await disturbing;
        // An effect that the next owner repeats would show here.
        await consumer.stop();
        const twice = await fixture.database.pool.query(
          'select n, count(*)::int as times from effect group by n having count(*) <> 1',
        );
        expect(twice.rows).toEqual([]);
        expect(disturbed).toBeGreaterThan(5);
        const { rows } = await fixture.database.pool.query<{ n: number }>('select n from effect order by n');
        expect(rows.map(({ n }) => n)).toEqual(upTo(total).filter((n) => n % 31 !== 0));
        const letters = await fixture.deadLetters.list();
        expect(letters.map(({ reason }) => reason)).toEqual(dead.map(() => 'attempts-spent'));
      },
      150_000,
    );
  },
);

/** Numbers from 0 up to 1, the same for a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
