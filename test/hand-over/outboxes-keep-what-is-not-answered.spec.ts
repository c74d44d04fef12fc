import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { upTo } from '../support/fixture.js';
import { drain, OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
});
afterEach(async () => {
  await service.close();
  await bus.close();
});

const confirmedBy = (n: number): Promise<number> =>
  service.value('select confirmed_n::int from waybill.relay_intent where n = $1', [n]);

const emptyOutbox = (): Promise<boolean> =>
  service.value('select bool_or(waybill.outbox_empty_slot(s, 0)) from generate_series(0, 7) s');

test('a relay that takes over notes what was answered, not what the log says that it holds', async () => {
  const first = service.relay();
  for (const n of [1, 2, 3]) {
    await service.publish([n]);
    await drain(first);
  }
  expect(await confirmedBy(3)).toBe(2);
  const second = service.relay();
  for (const n of [4, 5]) {
    await service.publish([n]);
    await drain(second);
  }
  // The answer to pass 3 was the first one's. A commit may be visible that is not safe yet.
  expect([await confirmedBy(4), await confirmedBy(5)]).toEqual([2, 4]);
});

test('rows of a large difference stay until their own window has been answered', async () => {
  await service.publish(upTo(40));
  const relay = service.relay({ smallDifferenceRows: 5, windowRows: 10 });
  for (const pass of [1, 2]) {
    await relay.runOnce();
    await relay.drain();
    expect(await service.value('select max(n)::int from waybill.relay_intent')).toBe(pass);
  }
  expect(await confirmedBy(2)).toBe(1);
  expect(await emptyOutbox()).toBe(false);
  await drain(relay);
  expect((await bus.read()).numbers).toEqual(upTo(40));
});

describe('a slot of the ring of passes', () => {
  /** A pass that makes the slot of pass 0 due to be emptied. */
  const passAfter = (n: number, confirmedN: number): Promise<unknown> =>
    service.database.pool.query(
      `insert into waybill.relay_intent (slot, n, token, token_before, base, target, after_id, upto_id, end_id, row_count,
                                         confirmed_n, system_identifier)
       select 2, $1, gen_random_uuid(), i.token, i.target, i.target, 0, 0, 0, 0, $2, i.system_identifier
         from waybill.relay_intent i order by i.n desc limit 1`,
      [n, confirmedN],
    );
  const recycle = (): Promise<boolean> => service.value('select waybill.relay_intent_recycle()');

  test('stays while one of its passes has not been answered', async () => {
    await passAfter(25_000, 0);
    expect(await recycle()).toBe(false);
    await passAfter(25_001, 25_000);
    expect(await recycle()).toBe(true);
  });

  test('stays while the outbox has rows of its passes, which a log that went back may need', async () => {
    await service.publish([1]);
    await service.value('update waybill.relay_intent set made_at = clock_timestamp()');
    await passAfter(25_000, 24_999);
    expect(await recycle()).toBe(false);
    await service.database.pool.query('truncate waybill.outbox');
    expect(await recycle()).toBe(true);
  });
});
