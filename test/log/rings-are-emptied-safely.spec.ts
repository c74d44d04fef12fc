import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type StoredProgress } from '@waybill/consumer';
import { LogRetention, PostgresLogEngine } from '@waybill/log/postgres';
import { loadProgress } from '@waybill/consumer/internal';
import { OutboxRetention } from '@waybill/outbox';
import { faultsOf, Fixture, numbersOf } from '../support/fixture.js';

const INSERT = `insert into waybill.outbox (slot, message_id, topic, key, payload)
                values ($1, waybill.uuid_v7(), 'orders', 'k', convert_to($2, 'UTF8'))`;

describe('the rings', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create({ orders: { partitions: 1 } });
  });
  afterEach(() => fixture.close());

  const rowsOfSlot = (slot: number): Promise<number> =>
    fixture.value(`select count(*)::int from waybill.outbox where slot = $1`, [slot]);

  test('a late row of a long transaction, in a slot that is due to be emptied, is not lost', async () => {
    const retention = new OutboxRetention(fixture.database, { retentionMs: 0 });
    await fixture.database.pool.query(INSERT, [3, '{"n": 1}']);
    const late = await fixture.database.pool.connect();
    await late.query('begin');
    await late.query(INSERT, [3, '{"n": 2}']);
    await fixture.moveAll();
    // The slot holds a row that has been moved, and one that no transaction can see yet.
    await retention.runOnce();
    expect(await rowsOfSlot(3)).toBe(1);
    await late.query('commit');
    late.release();
    // Now it is visible, but not moved: the slot still must not be emptied.
    await retention.runOnce();
    expect(await rowsOfSlot(3)).toBe(2);
    await fixture.moveAll();
    await retention.runOnce();
    expect(await rowsOfSlot(3)).toBe(0);
    expect(numbersOf(await fixture.log())).toEqual([1, 2]);
  });

  test('slots that are in use, or within the retention, are kept; no transaction waits for the emptying', async () => {
    await fixture.database.pool.query(INSERT, [5, '{"n": 1}']);
    await fixture.moveAll();
    await new OutboxRetention(fixture.database, { retentionMs: 60_000 }).runOnce();
    expect(await rowsOfSlot(5)).toBe(1);
    const reader = await fixture.database.pool.connect();
    await reader.query('begin');
    await reader.query('select * from waybill.outbox_s5');
    await new OutboxRetention(fixture.database, { retentionMs: 0 }).runOnce();
    expect(await rowsOfSlot(5)).toBe(1);
    await reader.query('commit');
    reader.release();
  });

  test('a bucket of the log is emptied after its retention; offsets continue, and a group that lost records reports it', async () => {
    await fixture.database.pool.query('update waybill.topic set retention_ms = 1');
    await fixture.publish(1);
    await fixture.publish(2);
    await fixture.moveAll();
    const retention = new LogRetention(fixture.database, { bucketMs: 1 });
    await retention.runOnce();
    await fixture.publish(3);
    await fixture.moveAll();
    await retention.runOnce();
    await retention.runOnce();
    expect(numbersOf(await fixture.log())).not.toContain(1);
    await fixture.publish(4);
    await fixture.moveAll();
    const records = await fixture.log();
    expect(records.at(-1)).toMatchObject({ offset: 3, payload: { n: 4 } });
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    const reader = new PostgresLogEngine(fixture.database);
    await expect(reader.fetch([{ partitionId, offset: 0 }])).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
    const restarted = new PostgresLogEngine(fixture.database);
    await expect(restarted.fetch([{ partitionId, offset: 99 }])).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
  });

  test('a reader follows the log from bucket to bucket without a gap, even with an outdated map', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    const reader = new PostgresLogEngine(fixture.database);
    const retention = new LogRetention(fixture.database, { bucketMs: 1 });
    let offset = 0;
    for (let n = 0; n < 20; n += 1) {
      await fixture.publish(n);
      await fixture.moveAll();
      if (n % 3 === 0) await retention.runOnce();
      const [batch] = (await reader.fetch([{ partitionId, offset }])).batches;
      expect(batch).toMatchObject({ baseOffset: n, lastOffset: n });
      offset = n + 1;
    }
    expect(faultsOf(await fixture.log())).toEqual([]);
    // Nothing is emptied early: the ring is full of buckets within retention, so the newest one grows.
    expect(await fixture.value('select count(*)::int from waybill_bus.log_bucket')).toBeGreaterThan(3);
  });

  test('positions and marks are carried forward when their slot is emptied', async () => {
    const [partitionId] = (await fixture.topics.get('orders')).partitionIds as [number];
    const { database } = fixture;
    const groupId = await fixture.value(
      `insert into waybill.consumer_group (name) values ('g') returning id`,
    );
    const slot = await fixture.value<number>(
      `select ((floor(extract(epoch from clock_timestamp()) / 3600)::bigint + 1) % 4)::int`,
    );
    await database.pool.query(
      `insert into waybill.consumer_position (slot, group_id, partition_id, position, in_flight_end)
       select $1, $2, $3, p, p + 5 from generate_series(1, 100) p`,
      [slot, groupId, partitionId],
    );
    await database.pool.query(
      `insert into waybill.delivery_mark (slot, group_id, partition_id, log_offset, verdict)
       select $1, $2, $3, o, 1 from generate_series(90, 110) o`,
      [slot, groupId, partitionId],
    );
    await new LogRetention(database).runOnce();
    expect(await fixture.value('select count(*)::int from waybill.consumer_position')).toBe(1);
    const load = async (): Promise<StoredProgress | undefined> =>
      (await loadProgress(database.session, groupId, [partitionId])).get(partitionId);
    const stored = await load();
    expect(stored).toMatchObject({ position: 100, inFlightEnd: 105 });
    expect([...(stored?.marked ?? [])]).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110]);
    // A carried position does not hide a newer one: from a later owner.
    await database.pool.query(
      `insert into waybill.consumer_position (slot, group_id, partition_id, owner_epoch, position, in_flight_end)
       values ($1, $2, $3, 1, 7, 7)`,
      [slot, groupId, partitionId],
    );
    await new LogRetention(database).runOnce();
    expect(await load()).toMatchObject({ position: 7, inFlightEnd: 7 });
  });
});
