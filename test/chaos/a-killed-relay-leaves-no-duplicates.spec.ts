import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { waitUntil } from '@waybill/testing';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

const MESSAGES = 6_000;
const KILLS = 8;

let fixture: Fixture;
beforeAll(async () => {
  fixture = await Fixture.create();
  await fixture.database.pool.query('create table published (n int primary key)');
});
afterAll(() => fixture.close());

test('a relay that is killed repeatedly while messages are published loses none and duplicates none', async () => {
  const publisher = await startProgram('publisher', { url: fixture.url, count: MESSAGES, rollBackEvery: 10 });
  const options = { smallDifferenceRows: 20, windowRows: 20 };
  for (let kill = 0; kill < KILLS; kill += 1) {
    const relay = await startProgram('relay', { url: fixture.url, options });
    const before = await fixture.value('select coalesce(max(seq), 0)::int from waybill.relay_cursor');
    // Killed while it works: after some passes, at a random moment.
    await waitUntil(
      async () => (await fixture.value('select max(seq)::int from waybill.relay_cursor')) > before + 3 + kill,
      { describe: 'the relay has made some passes', intervalMs: 1, timeoutMs: 30_000 },
    );
    relay.kill('SIGKILL');
    await relay.exited;
  }
  await publisher.waitForLine(/^done/, { timeoutMs: 60_000 });
  const last = await startProgram('relay', { url: fixture.url });
  const committed = upTo(MESSAGES).filter((n) => n % 10 !== 0);
  await waitUntil(async () => (await fixture.log()).length >= committed.length, {
    describe: 'everything is in the log',
    timeoutMs: 30_000,
    intervalMs: 100,
  });
  await stopProgram(last);
  const records = await fixture.log();
  expect(numbersOf(records)).toEqual(committed);
  expect(faultsOf(records)).toEqual([]);
}, 180_000);
