import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { BackgroundService, PgDatabase } from '@waybill/kernel';
import { statement } from '@waybill/kernel/internal';
import { testDatabase, type TestDatabase, waitUntil } from '@waybill/testing';

const probe = statement<[], { n: number }>('probe', 'select 1 as n');

let created: TestDatabase;
let database: PgDatabase;
beforeEach(async () => {
  created = await testDatabase('full');
  database = new PgDatabase({
    connectionString: created.connectionString,
    connectionsMax: 2,
    connectTimeoutMs: 300,
  });
});
afterEach(async () => {
  await database.close();
  await created.drop();
});

test('work that finds no free connection fails in time, with what to do; the next finds one', async () => {
  const held = await Promise.all([database.pool.connect(), database.pool.connect()]);
  const refused = {
    code: 'DATABASE_UNAVAILABLE',
    retryable: true,
    message: expect.stringMatching(
      /None of the pool's 2 connections became free within 300 ms.*connectionsMax/,
    ),
  };
  await expect(database.session.run(probe)).rejects.toMatchObject(refused);
  await expect(database.pool.query('select 1')).rejects.toMatchObject(refused);
  for (const client of held) client.release();
  expect(await database.session.run(probe)).toEqual([{ n: 1 }]);
});

test('a loop reports a full pool once, and comes back by itself', async () => {
  const held = await Promise.all([database.pool.connect(), database.pool.connect()]);
  const said: string[] = [];
  let failures = 0;
  let passes = 0;
  const log = (text: string): void => void said.push(text);
  const service = new BackgroundService({
    name: 'the probe',
    runOnce: async () => {
      try {
        await database.session.run(probe);
        passes += 1;
      } catch (error) {
        failures += 1;
        throw error;
      }
      return 'idle';
    },
    idleMaxMs: 20,
    failureMaxMs: 50,
    logger: { error: log, warn: log, info: () => {}, debug: () => {} },
  });
  service.start();
  await waitUntil(() => failures >= 3, { describe: 'it has failed several times' });
  for (const client of held) client.release();
  await waitUntil(() => passes > 0, { describe: 'it works again' });
  await service.stop();
  const reports = said.filter((text) => text.includes('became free'));
  expect(reports).toHaveLength(1);
  expect(reports[0]).toMatch(/the probe failed.*None of the pool's 2 connections/);
});
