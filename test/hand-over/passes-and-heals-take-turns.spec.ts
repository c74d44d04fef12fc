import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { newId } from '@waybill/kernel';
import { type ReadyBatch, RecordBatchBuilder, type SourcePass } from '@waybill/log';
import { waitUntil } from '@waybill/testing';
import type pg from 'pg';
import { TestBus } from '../support/own-databases.js';

let bus: TestBus;
let batches: readonly ReadyBatch[];
let first: pg.PoolClient;
const pass: SourcePass = { serviceId: newId(), logEpoch: 1, n: 1, token: newId(), tokenBefore: null };

beforeEach(async () => {
  bus = await TestBus.create();
  const [partitionId = 0] = (await bus.log.topics.get('orders')).partitionIds;
  const builder = new RecordBatchBuilder();
  builder.append(Date.now(), null, Buffer.from('{"n":1}'), []);
  batches = [{ partitionId, recordCount: 1, maxTimestampMs: 0, baseSequence: -1, data: builder.build() }];
  first = await bus.database.pool.connect();
  await first.query('begin');
});
afterEach(async () => {
  first.release();
  await bus.close();
});

const HEAL = 'select waybill_bus.log_raise_epoch()';

/** Until a transaction on the bus waits for one of Waybill's locks. */
const oneWaits = (): Promise<void> =>
  waitUntil(
    async () => {
      const { rows } = await bus.database.pool.query<{ waiting: number }>(
        `select count(*)::int as waiting from pg_locks
          where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())`,
      );
      return rows[0]?.waiting === 1;
    },
    { describe: 'the second one waits for the first' },
  );

test.each([
  [
    'a pass',
    `select * from waybill_bus.log_hand_over(gen_random_uuid(), 1, 1, gen_random_uuid(), null, array[$1::int], '{1}',
                                             array[length($2::bytea)], '{0}', $2)`,
  ],
  [
    'what a process appends by itself',
    `select * from waybill_bus.log_append(array[$1::int], '{1}', array[length($2::bytea)], '{0}', '{-1}', $2, -1, 'on')`,
  ],
])('a heal waits for %s that is being appended, and cuts the log behind it', async (_, append) => {
  await first.query(append, [batches[0]?.partitionId, batches[0]?.data]);
  const healing = bus.database.pool.query(HEAL);
  await oneWaits();
  await first.query('commit');
  await healing;
  const { rows } = await bus.database.pool.query('select cut::int from waybill_bus.log_cut where epoch = 2');
  expect(rows).toEqual([{ cut: 1 }]);
});

test('a pass that has waited for a heal is refused: it was sent for the history before', async () => {
  await first.query(HEAL);
  const handedOver = bus.log.handOver(pass, batches).then(
    () => 'taken',
    (error: { code?: string }) => error.code,
  );
  await oneWaits();
  await first.query('commit');
  expect(await handedOver).toBe('FENCED');
  expect((await bus.read()).numbers).toEqual([]);
  await bus.log.handOver({ ...pass, logEpoch: 2 }, batches);
  expect((await bus.read()).numbers).toEqual([1]);
});
