import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Bell } from '@waybill/kernel';
import { WorkNotes } from '@waybill/log';
import { Waybill } from '@waybill/nestjs';
import { Relay } from '@waybill/outbox';
import { waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { timersOf } from '../support/timers.js';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create(undefined, {
    withoutPooler: 'announcements arrive by LISTEN, which receives nothing through a transaction pooler',
  });
  fixture.signals.start();
  await waitUntil(() => fixture.signals.listening, { describe: 'it listens' });
});
afterEach(async () => {
  await fixture.signals.stop();
  await fixture.close();
});

test('a process that only publishes announces it, for relays and timer services that rest', async () => {
  const { database, signals } = fixture;
  let announced = 0;
  new WorkNotes(database, signals.notes).onWork(() => (announced += 1));
  const options = { ...fixture.moduleOptions, relay: false, consumer: false };
  const waybill = new Waybill('publisher', options);
  try {
    await waybill.start();
    await waitUntil(() => waybill.log.signals.listening, { describe: 'the publisher has started' });
    expect(announced).toBe(0);
    await waybill.transaction(async (_tx, outbox) => outbox.publish({ topic: 'orders', payload: { n: 1 } }));
    await waitUntil(() => announced === 1, { describe: 'the message is announced' });
  } finally {
    await waybill.stop();
  }
});

test('a relay and a timer service are woken by the announcement of another process', async () => {
  const { database, engine: log } = fixture;
  const bell = new Bell();
  const relay = new Relay({ database, log, bell }, { pollMaxMs: 60_000, pollIdleMs: 60_000 });
  const { service: timers } = timersOf(fixture, undefined, { pollMs: 60_000, pollIdleMs: 60_000 });
  const woken = { relay: 0, timers: 0 };
  bell.onRing(() => (woken.relay += 1));
  timers.service.bell.onRing(() => (woken.timers += 1));
  const other = fixture.engineOf(database);
  other.signals.start();
  try {
    new WorkNotes(database, other.signals.notes).announce();
    await waitUntil(() => woken.relay > 0 && woken.timers > 0, { describe: 'both are woken' });
    expect(woken).toEqual({ relay: 1, timers: 1 });
  } finally {
    await other.signals.stop();
    await relay.service.stop();
    await timers.stop();
  }
});
