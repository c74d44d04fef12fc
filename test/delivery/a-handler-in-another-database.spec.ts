import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PgDatabase } from '@waybill/kernel';
import { Inbox } from '@waybill/guard';
import { migrate } from '@waybill/schema';
import { type TestDatabase, testDatabase, waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

let fixture: Fixture;
let other: TestDatabase;
let handlers: PgDatabase;
beforeEach(async () => {
  fixture = await Fixture.create();
  other = await testDatabase('handlers');
  await migrate({ connectionString: other.connectionString });
  handlers = new PgDatabase({ connectionString: other.connectionString });
  await handlers.pool.query(
    `create table effect (id bigint generated always as identity, consumer text, topic text, partition int, log_offset bigint,
                          key text, message_id text, n int, attempt int, pid int)`,
  );
});
afterEach(async () => {
  await handlers.close();
  await other.drop();
  await fixture.close();
});

const numbers = async (): Promise<number[]> =>
  (await handlers.pool.query<{ n: number }>('select n from effect order by n')).rows.map(({ n }) => n);

const publish = (count: number): Promise<unknown> =>
  fixture
    .transaction((client) =>
      fixture.outbox.publishMany(
        client,
        upTo(count).map((n) => ({ topic: 'orders', key: `key-${n % 30}`, payload: { n } })),
      ),
    )
    .then(() => fixture.moveAll());

test.each(['key', 'partition'])(
  'order %s: a consumer is killed at any moment, all is delivered again: each message takes effect once in the other database',
  async (concurrency) => {
    const settings = {
      url: fixture.url,
      handlerUrl: other.connectionString,
      subscription: { concurrency },
      options: { leaseMs: 900, heartbeatMs: 200 },
    };
    await publish(900);
    for (const part of [150, 400]) {
      const victim = await startProgram('consumer', settings);
      await waitUntil(async () => (await numbers()).length > part, {
        describe: 'it works',
        intervalMs: 1,
        timeoutMs: 30_000,
      });
      victim.kill('SIGKILL');
      await victim.exited;
    }
    // As if the log's side had lost everything: position and marks are gone, the inbox is not.
    await fixture.database.pool.query('truncate waybill.consumer_position, waybill.delivery_mark');
    const last = await startProgram('consumer', settings);
    await waitUntil(
      async () =>
        (await fixture.value(
          `select coalesce(sum(p.position), 0)::int from (select distinct on (partition_id) position
             from waybill.consumer_position order by partition_id, id desc) p`,
        )) === 900,
      { describe: 'everything was delivered again', timeoutMs: 40_000 },
    );
    await stopProgram(last);
    expect(await numbers()).toEqual(upTo(900));
  },
  120_000,
);

test('the inbox deletes only what the log can no longer deliver', async () => {
  const guard = new Inbox();
  const entry = { consumer: 'c', logIdentity: 'log', topic: 'orders', partition: 0 };
  for (const bucketSeq of [1, 2, 3]) {
    expect(await guard.take(handlers.session, { ...entry, offset: bucketSeq, bucketSeq })).toBe(true);
    expect(await guard.take(handlers.session, { ...entry, offset: bucketSeq, bucketSeq })).toBe(false);
  }
  await guard.recycle(handlers.session, 3);
  const { rows } = await handlers.pool.query('select bucket_seq::int from waybill.inbox');
  expect(rows).toEqual([{ bucket_seq: 3 }]);
});
