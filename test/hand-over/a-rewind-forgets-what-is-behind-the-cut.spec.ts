import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
let group: number;
let partition: number;

/** The group is at offset 8 of the log's first history, in owner epoch 1, and has something to remember of records 3 and 7. */
beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  [partition = 0] = (await bus.log.topics.get('orders')).partitionIds;
  group = await service.value(`select waybill.group_ensure('shop', null)`);
  await run(
    'select waybill.progress_take($1, array[$2::int], array[1], gen_random_uuid(), 1)',
    `select waybill.advance($1, $2, 1, 8, 9, 1, 77, waybill.incarnation())`,
    `insert into waybill.delivery_mark (group_id, partition_id, log_offset, verdict) select $1, $2, n, 1 from ${RECORDS}`,
    `insert into waybill.crash_charge (group_id, partition_id, log_offset) select $1, $2, n from ${RECORDS}`,
    `insert into waybill.parked_message (group_id, partition_id, log_offset, bucket_seq, headers, timestamp_ms)
     select $1, $2, n, 1, '[]', 0 from ${RECORDS}`,
    `insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler, headers,
                                      timestamp_ms, reason, error_class, error_message, fingerprint, attempts, first_failed_at,
                                      last_failed_at)
     select $1, $2, n, 1, 'orders', 0, 'h', '[]', 0, 'r', 'E', 'm', 'f', 1, now(), now() from ${RECORDS}`,
  );
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

const RECORDS = 'unnest(array[3, 7]) n';
/** By how much offsets of the first history are moved when the second begins. */
const AWAY = 8_189 * 2 ** 40;

async function run(...texts: string[]): Promise<void> {
  for (const text of texts) await service.database.pool.query(text, [group, partition]);
}

const rewind = (cut: number, inEpoch = 1): Promise<number> =>
  service.value('select waybill.progress_rewind($1, $2, $3::bigint, 2, $4, waybill.incarnation())::int', [
    group,
    partition,
    inEpoch,
    cut,
  ]);

async function remembered(): Promise<Record<string, number[]>> {
  const offsets: Record<string, number[]> = {};
  for (const table of ['delivery_mark', 'crash_charge', 'parked_message', 'dead_letter']) {
    const { rows } = await service.database.pool.query<{ at: string }>(
      `select log_offset as at from waybill.${table} order by log_offset`,
    );
    offsets[table] = rows.map(({ at }) => Number(at));
  }
  return offsets;
}

async function newestPosition(): Promise<unknown> {
  const { rows } = await service.database.pool.query(
    `select position::int, in_flight_end::int as "inFlightEnd", log_epoch::int as "logEpoch", checksum::int
       from waybill.consumer_position order by id desc limit 1`,
  );
  return rows[0];
}

test('behind the cut, verdicts and charges are gone, and messages are kept before all others', async () => {
  expect(await rewind(5)).toBe(5);
  expect(await remembered()).toEqual({
    delivery_mark: [3],
    crash_charge: [3],
    parked_message: [7 - AWAY, 3],
    dead_letter: [7 - AWAY, 3],
  });
  // Another batch may hold the record before it.
  expect(await newestPosition()).toEqual({ position: 5, inFlightEnd: 5, logEpoch: 2, checksum: null });
});

test('a position before the cut stays, with what is known of the record before it', async () => {
  expect(await rewind(9)).toBe(8);
  expect((await remembered())['delivery_mark']).toEqual([3, 7]);
  expect(await newestPosition()).toEqual({ position: 8, inFlightEnd: 8, logEpoch: 2, checksum: 77 });
});

test('an earlier owner rewinds nothing', async () => {
  await expect(rewind(5, 0)).rejects.toMatchObject({ code: 'WB003' });
  expect((await remembered())['delivery_mark']).toEqual([3, 7]);
});
