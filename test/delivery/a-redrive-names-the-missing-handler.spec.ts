import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Fixture } from '../support/fixture.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create();
  await fixture.bus.pool.query(`insert into waybill_bus.consumer_group (name) values ('buyers')`);
  await fixture.database.pool.query(`
    insert into waybill.consumer_group (name) values ('buyers');
    insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                     headers, timestamp_ms, reason, error_class, error_message, fingerprint, attempts,
                                     first_failed_at, last_failed_at)
    values (1, 1, 0, 1, 'orders', 0, 'h', '[]', 0, 'attempts', 'Error', 'x', 'f', 1, now(), now())`);
});
afterEach(() => fixture.close());

test('a redrive for a handler that no process has reports that', async () => {
  expect(await fixture.deadLetters.unserved()).toEqual([{ group: 'buyers', topic: 'orders' }]);
  expect(await fixture.deadLetters.unserved({ topic: 'other' })).toEqual([]);
  const member = (topics: string, lease: string): Promise<unknown> =>
    fixture.bus.pool.query(
      `delete from waybill_bus.group_member;
       insert into waybill_bus.group_member (group_id, member_id, topics, lease_until)
       values (1, gen_random_uuid(), '${topics}', clock_timestamp() + interval '${lease}')`,
    );
  await member('{orders}', '-1 s');
  expect(await fixture.deadLetters.unserved()).toHaveLength(1);
  await member('{other}', '1 min');
  expect(await fixture.deadLetters.unserved()).toHaveLength(1);
  await member('{other,orders}', '1 min');
  expect(await fixture.deadLetters.unserved()).toEqual([]);
});
