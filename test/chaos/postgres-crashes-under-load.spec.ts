import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type EmbeddedPostgres, startPostgres, waitUntil } from '@waybill/testing';
import { faultsOf, Fixture, numbersOf } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

const MESSAGES = 8_000;
const CRASHES = 3;

let server: EmbeddedPostgres;
let fixture: Fixture;
beforeAll(async () => {
  // Its own server: other tests must not crash with it.
  server = await startPostgres();
  fixture = await Fixture.create({ orders: {} }, server.connectionString);
  await fixture.database.pool.query('create table published (n int primary key)');
});
afterAll(async () => {
  await fixture.close();
  await server.stop();
});

test('PostgreSQL crashes three times under load: committed messages are in the log once and take effect once', async () => {
  const options = { leaseMs: 2_000, heartbeatMs: 300 };
  const relay = await startProgram('relay', { url: fixture.url });
  const consumers = await Promise.all(
    [1, 2].map(() => startProgram('consumer', { url: fixture.url, options })),
  );
  const publisher = await startProgram('publisher', { url: fixture.url, count: MESSAGES, rollBackEvery: 7 });
  for (let crash = 1; crash <= CRASHES; crash += 1) {
    await waitUntil(
      async () => (await fixture.value('select count(*)::int from effect')) > (crash * MESSAGES) / 8,
      { describe: 'there is load', timeoutMs: 60_000 },
    );
    await server.restart('immediate');
  }
  await publisher.waitForLine(/^done/, { timeoutMs: 90_000 });
  const published = (
    await fixture.database.pool.query<{ n: number }>('select n from published order by n')
  ).rows.map(({ n }) => n);
  expect(published).toHaveLength(MESSAGES - Math.ceil(MESSAGES / 7));
  await waitUntil(async () => (await fixture.value('select count(*)::int from effect')) >= published.length, {
    describe: () =>
      `every message has taken effect; ${consumers.map(({ output }) => output.slice(-1500)).join('\n---\n')}`,
    timeoutMs: 90_000,
    intervalMs: 100,
  });
  await Promise.all([relay, ...consumers].map(stopProgram));
  const records = await fixture.log();
  expect(faultsOf(records)).toEqual([]);
  expect(numbersOf(records)).toEqual(published);
  const handled = await fixture.database.pool.query<{ n: number }>('select n from effect order by n');
  expect(handled.rows.map(({ n }) => n)).toEqual(published);
  expect(await fixture.deadLetters.list()).toEqual([]);
}, 300_000);
