import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { HalfMessages } from '@waybill/half-message';
import { newId } from '@waybill/kernel';
import { findDisagreement, type Message, reconcile } from '@waybill/outbox';
import { type TestDatabase, waitUntil } from '@waybill/testing';
import { TimerService } from '@waybill/timer';
import { upTo } from '../support/fixture.js';
import { copyOf, drain, OwnService, TestBus } from '../support/own-databases.js';

let bus: TestBus;
let service: OwnService;
const unused: TestDatabase[] = [];

beforeEach(async () => {
  bus = await TestBus.create();
  service = await OwnService.create(bus);
  await service.publish([0]);
  await drain(service.relay());
});
afterEach(async () => {
  await service.close();
  await bus.close();
  await Promise.all(unused.splice(0).map((database) => database.drop()));
});

/** The service's database is restored to what it is now, after it has gone on. */
async function goBack(goOn: () => Promise<unknown>): Promise<void> {
  const { created } = service;
  await service.database.close();
  const backup = await copyOf(created);
  service = await OwnService.of(created, bus);
  await goOn();
  await service.database.close();
  unused.push(created);
  service = await OwnService.of(backup, bus);
  await expect(service.relay().runOnce()).rejects.toMatchObject({ code: 'SOURCE_DIVERGED' });
}

const reconciled = async (): Promise<number> =>
  reconcile(service.database, await findDisagreement(service.database, service.log));

/** Fires what is due now; resolves to the number of timers. */
async function fired(): Promise<number> {
  const { database, log } = service;
  const timers = new TimerService({ database, log });
  while ((await timers.runOnce()) === 'again');
  return timers.status.fired;
}

async function allFired(count: number): Promise<void> {
  let all = 0;
  await waitUntil(async () => (all += await fired()) >= count, { describe: `${count} timers are fired` });
  expect(all).toBe(count);
}

test('of a large difference, the windows that were not moved, and not again those that were', async () => {
  const inWindows = { smallDifferenceRows: 5, windowRows: 10 };
  const moveOne = async (): Promise<void> => {
    const relay = service.relay(inWindows);
    await relay.runOnce();
    await relay.drain();
  };
  await service.publish(upTo(41).slice(1));
  await moveOne();
  await goBack(moveOne);
  expect((await bus.read()).numbers).toEqual(upTo(21));
  expect(await reconciled()).toBe(20);
  await drain(service.relay());
  expect((await bus.read()).numbers).toEqual(upTo(41));
});

test('changes to timers that have not taken effect here, and not again those that have', async () => {
  const schedule = (): Promise<unknown> =>
    service.transaction((client) =>
      service.outbox.publish(client, { topic: 'orders', payload: { n: 9 }, delayMs: 3_600_000 }),
    );
  await schedule();
  await drain(service.relay());
  await schedule();
  await goBack(() => drain(service.relay()));
  const timers = 'select count(*)::int from waybill.timer';
  expect(await service.value(timers)).toBe(1);
  expect(await reconciled()).toBe(1);
  await drain(service.relay());
  expect(await service.value(timers)).toBe(2);
});

test('the cancelling of a timer whose message the log has from the time that was lost', async () => {
  const { id } = await service.transaction((client) =>
    service.outbox.publish(client, { topic: 'orders', payload: { n: 9 }, delayMs: 1 }),
  );
  await drain(service.relay());
  await service.transaction((client) => service.outbox.cancelTimer(client, { id }));
  await goBack(async () => {
    // The cancelling comes too late.
    await waitUntil(async () => (await fired()) === 1, { describe: 'it is fired' });
    await drain(service.relay());
  });
  expect(await bus.read()).toMatchObject({ numbers: [0, 9], ids: [expect.anything(), id] });
  expect(await reconciled()).toBe(1);
  await drain(service.relay());
  // The timer is back, and would be fired again.
  expect(await fired()).toBe(0);
  await drain(service.relay());
  expect((await bus.read()).numbers).toEqual([0, 9]);
});

test('no scheduled message that the log has from the time that was lost, wherever it waits here', async () => {
  const publish = (n: number): Promise<unknown> =>
    service.transaction((client) =>
      service.outbox.publish(client, { topic: 'orders', payload: { n }, delayMs: 1 }),
    );
  await publish(8);
  await drain(service.relay());
  // This one waits in the outbox, the other among the timers.
  await publish(9);
  await goBack(async () => {
    await drain(service.relay());
    await allFired(2);
    await drain(service.relay());
  });
  expect((await bus.read()).numbers.toSorted((a, b) => a - b)).toEqual([0, 8, 9]);
  await publish(10);
  expect(await reconciled()).toBe(1);
  await drain(service.relay());
  await allFired(1);
  expect(await service.value('select count(*)::int from waybill.timer')).toBe(0);
  await drain(service.relay());
  expect((await bus.read()).numbers.toSorted((a, b) => a - b)).toEqual([0, 8, 9, 10]);
});

test('no half message that the log has from the time that was lost, and of one the messages that it has not', async () => {
  const halves = (): HalfMessages => {
    const { database, log, outbox } = service;
    return new HalfMessages({
      group: 'shop',
      database,
      log,
      encode: (message, options) => outbox.encode(message, options),
    });
  };
  const message = (n: number): Message => ({ id: newId(), topic: 'orders', key: 'k', payload: { n } });
  const third = message(3);
  const both = await halves().prepare([message(1), message(2)]);
  const partly = await halves().prepare([third, message(4)]);
  const open = await halves().prepare(message(5));
  await goBack(async () => {
    await halves().commit(both.id);
    // As if the service had been lost between two passes, which moved one message each.
    await service.transaction((client) => service.outbox.publish(client, third));
    await drain(service.relay());
  });
  expect((await bus.read()).numbers).toEqual([0, 1, 2, 3]);
  await reconciled();
  const decided = `select string_agg(decided_by || ' ' || state, ',') from waybill.half_message_decided`;
  expect(await service.value(decided)).toBe('reconcile 2');
  // Who decides later gets the same answer.
  expect(await halves().commit(both.id)).toBe('already');
  expect(await halves().commit(partly.id)).toBe('done');
  expect(await halves().commit(open.id)).toBe('done');
  await drain(service.relay());
  expect((await bus.read()).numbers).toEqual([0, 1, 2, 3, 4, 5]);
});

test('a message whose transaction ends while it waits', async () => {
  await goBack(async () => {
    await service.publish([1]);
    await drain(service.relay());
  });
  const publisher = await service.database.pool.connect();
  await publisher.query('begin');
  await service.outbox.publish(publisher, { topic: 'orders', key: 'k', payload: { n: 2 } });
  const keeping = reconciled();
  await waitUntil(
    async () =>
      (await service.value<number>(
        `select count(*)::int from pg_locks l join pg_class c on c.oid = l.relation
          where c.relname like 'outbox%' and not l.granted and l.mode = 'AccessExclusiveLock'`,
      )) > 0,
    { describe: 'it waits for the publisher' },
  );
  await publisher.query('commit');
  publisher.release();
  expect(await keeping).toBe(1);
  await drain(service.relay());
  expect((await bus.read()).numbers).toEqual([0, 1, 2]);
});

test('nothing with a log that went back, before an operator has healed it', async () => {
  const relay = service.relay();
  for (const n of [1, 2, 3]) {
    await service.publish([n]);
    await drain(relay);
  }
  await bus.database.pool.query('delete from waybill_bus.log_source where n > 1');
  await expect(reconciled()).rejects.toMatchObject({ code: 'LOG_WENT_BACK' });
  await bus.database.pool.query('select waybill_bus.log_raise_epoch()');
  expect(await findDisagreement(service.database, service.log)).toMatchObject({ commonN: 1, busN: 1 });
});
