import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Bell } from '@waybill/kernel';
import { Relay } from '@waybill/outbox';
import { Fixture } from '../support/fixture.js';
import { timersOf } from '../support/timers.js';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create();
});
afterAll(() => fixture.close());

test('a due timer that a transaction has locked is not asked for without a pause', async () => {
  const { database, engine: log, outbox } = fixture;
  const { service } = timersOf(fixture);
  const relay = new Relay({ database, log, bell: new Bell() });
  await fixture.transaction((tx) => outbox.publish(tx, { topic: 'orders', payload: { n: 1 }, delayMs: 1 }));
  while ((await relay.runOnce()) === 'again');
  const holder = await fixture.database.pool.connect();
  try {
    await holder.query('begin');
    await holder.query('select from waybill.timer for update');
    // Another process may just have claimed it; when it is still there, the service waits for its next poll.
    expect(await service.runOnce()).toBe('again');
    expect(await service.runOnce()).toBe('idle');
    expect(await service.runOnce()).toBe('idle');
    await holder.query('commit');
    expect(await service.runOnce()).toBe('again');
    expect(service.status.fired).toBe(1);
  } finally {
    holder.release();
  }
});
