import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { bindService, type ReadyBatch, type SourcePass } from '@waybill/log';
import { waitUntil } from '@waybill/testing';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
const sent: { readonly pass: SourcePass; readonly batches: readonly ReadyBatch[] }[] = [];

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  sent.length = 0;
  const handOver = service.log.handOver.bind(service.log);
  service.log.handOver = async (pass, batches, keys) => {
    sent.push({ pass, batches });
    await handOver(pass, batches, keys);
  };
  const relay = service.relay();
  for (const n of [1, 2]) {
    await service.publish([n]);
    await drain(relay);
  }
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

test('a late pass is refused of which the log does not remember whether it was this one', async () => {
  const [late] = sent;
  await bus.database.pool.query('delete from waybill_bus.log_source where n = 1');
  await expect(service.log.handOver(late?.pass as SourcePass, late?.batches ?? [])).rejects.toMatchObject({
    code: 'FENCED',
  });
  expect((await bus.read()).numbers).toEqual([1, 2]);
});

describe('behind a pass that is not the newest', () => {
  test.each([
    [
      'no pass is stored',
      `select waybill.relay_intend(i.n, i.token, gen_random_uuid(), i.target, i.target, 0, 1, 1, 1, '{}', 0)`,
    ],
    ['none is made again', `select waybill.relay_amend(i.n, i.n, i.token, '{}')`],
  ])('%s', async (_, text) => {
    const before = await service.value('select count(*)::int from waybill.relay_intent');
    await expect(service.value(`${text} from waybill.relay_intent i where n = 1`)).rejects.toMatchObject({
      code: 'WB004',
    });
    expect(await service.value('select count(*)::int from waybill.relay_intent')).toBe(before);
  });
});

describe('a transaction that could not see what others have committed', () => {
  test.each([
    ['begins no pass', 'select * from waybill.relay_begin(10, 1000)'],
    ['reconciles nothing', `select waybill.relay_reconcile(1, 2, gen_random_uuid(), '{}')`],
    ['takes no partition', `select waybill.progress_take(1, '{1}', '{1}', gen_random_uuid(), 1)`],
    [
      'takes none in the same grant',
      `select waybill.progress_retake(1, 1, 1::bigint, 1, gen_random_uuid(), 1)`,
    ],
  ])('%s', async (_, text) => {
    const client = await service.database.pool.connect();
    try {
      await client.query('begin isolation level repeatable read');
      await expect(client.query(text)).rejects.toMatchObject({ code: 'WB009' });
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});

test('of two buses at the same time, a service is bound to the first', async () => {
  await service.value('update waybill.service set bus_id = null');
  const [first, second] = [randomUUID(), randomUUID()];
  const binder = await service.database.pool.connect();
  await binder.query('begin');
  await binder.query('select waybill.service_bind($1, 1)', [first]);
  const late = bindService(service.database.session, second, 1);
  const waiting = `select count(*)::int from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock' and query like '%service_bind%'`;
  await waitUntil(async () => (await service.value<number>(waiting)) > 0, { describe: 'the second waits' });
  await binder.query('commit');
  binder.release();
  await expect(late).rejects.toMatchObject({ code: 'BUS_MISMATCH' });
  expect(await service.value('select bus_id::text from waybill.service')).toBe(first);
});
