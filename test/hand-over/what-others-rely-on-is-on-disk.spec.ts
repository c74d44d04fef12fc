import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '@waybill/kernel';
import type pg from 'pg';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

// What one database is told about another must not be taken back by a crash: whatever the default of the server or the role, such
// a transaction ends with a flush. A crash shows that only now and then; the setting of the transaction shows it always.

let bus: TestBus;
let service: OwnService;

beforeAll(async () => {
  bus = await TestBus.create({ orders: { partitions: 1 } });
  service = await OwnService.create(bus);
  await service.publish([1]);
  await drain(service.relay());
  await service.database.pool.query(`insert into waybill.consumer_group (name) values ('shop')`);
  await service.database.pool.query(
    `select waybill.progress_take(g.id, array[p.id], '{1}', gen_random_uuid(), 1)
       from waybill.consumer_group g, waybill.topic_partition p`,
  );
});
afterAll(async () => {
  await service.close();
  await bus.close();
});

/** How a transaction would be committed that has executed this, where the default is not to wait for the disk. */
async function commitOf(pool: pg.Pool, text: string): Promise<unknown> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('set local synchronous_commit = off');
    const { rowCount } = await client.query(text);
    expect(rowCount).toBeGreaterThan(0);
    const { rows } = await client.query<{ how: string }>(
      `select current_setting('synchronous_commit') as how`,
    );
    return rows[0]?.how;
  } finally {
    await client.query('rollback');
    client.release();
  }
}

const NEWEST = '(select * from waybill.relay_intent order by n desc, version desc limit 1) i';
const OWNER = 'waybill.progress_owner o';

test.each([
  [
    'a pass, before the log gets it',
    `select waybill.relay_intend(i.n, i.token, gen_random_uuid(), i.target, i.target, 0, 1, 1, 1, '{}', 0) from ${NEWEST}`,
  ],
  [
    'a pass that is made again, before the log gets it',
    `select waybill.relay_amend(i.n, i.n, i.token, '{}') from ${NEWEST}`,
  ],
  [
    'where a relay starts over, before the log gets its next pass',
    `select waybill.relay_reconcile(0, 7, gen_random_uuid(), '{}')`,
  ],
  ['the bus that a service belongs to', 'select waybill.service_bind(gen_random_uuid(), 1)'],
  [
    'a take, before the bus is told of it',
    `select waybill.progress_take(o.group_id, array[o.partition_id], '{9}', gen_random_uuid(), 1) from ${OWNER}`,
  ],
  [
    'a take in the same grant, before the bus is told of it',
    `select waybill.progress_retake(o.group_id, o.partition_id, o.owner_epoch, 1, gen_random_uuid(), 1) from ${OWNER}`,
  ],
  [
    'where a group begins, which its owner goes on from in memory',
    `select waybill.progress_begin(o.group_id, array[o.partition_id], array[o.owner_epoch], '{0}', 1,
                                   array[waybill.incarnation()]) from ${OWNER}`,
  ],
  [
    'a delivery, after which its owner goes on in memory',
    `select waybill.fence(o.group_id, o.partition_id, o.owner_epoch, waybill.incarnation()) from ${OWNER}`,
  ],
  ['an erasure in the database of a service', `select waybill.destroy_subject_keys('ann')`],
])("of a service's database: %s", async (what, text) => {
  if (what.startsWith('the bus')) await service.value('update waybill.service set bus_id = null');
  expect(await commitOf(service.database.pool, text)).toBe('on');
});

test.each([
  [
    'a pass that is appended, before the outbox may forget it',
    `select waybill_bus.log_hand_over('${newId()}', 1, 1, gen_random_uuid(), null, array[p.id], '{1}', '{1}', '{0}', 'x')
       from waybill_bus.topic_partition p`,
  ],
  ['the epoch of the log, before any service appends again', 'select waybill_bus.log_raise_epoch()'],
  [
    'an erasure in the log, before it is committed elsewhere',
    `select waybill_bus.destroy_subject_keys('ann')`,
  ],
])('of a bus: %s', async (_, text) => {
  expect(await commitOf(bus.database.pool, text)).toBe('on');
});
