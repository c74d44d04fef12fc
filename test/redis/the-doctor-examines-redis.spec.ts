import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createProgram } from '@waybill/cli';
import type { TestDatabase } from '@waybill/testing';
import { migratedDatabase } from '../support/migrated-database.js';
import { describeWithRedis } from '../support/timers.js';

let made: TestDatabase;
beforeEach(async () => {
  made = await migratedDatabase('doctor');
});
afterEach(async () => {
  process.exitCode = undefined;
  await made.drop();
});

/** What `waybill doctor --redis` reports about Redis. */
async function finding(url: string): Promise<unknown> {
  let text = '';
  const program = createProgram({ write: (part) => (text += part) });
  const args = ['--database-url', made.connectionString, 'doctor', '--json', '--redis', url];
  await program.parseAsync(args, { from: 'user' });
  return (JSON.parse(text) as { check: string }[]).find(({ check }) => check === 'redis');
}

describeWithRedis('waybill doctor', (redis) => {
  test('reports which policy Redis has, and which it needs', async () => {
    await redis().command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await finding(redis().url)).toMatchObject({
      state: 'problem',
      text: expect.stringContaining('allkeys-lru'),
      advice: expect.stringContaining('noeviction'),
    });
    await redis().command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    expect(await finding(redis().url)).toMatchObject({ state: 'ok' });
  });
});

test('waybill doctor reports that Redis cannot be reached', async () => {
  expect(await finding('redis://127.0.0.1:1')).toMatchObject({
    state: 'problem',
    text: expect.stringContaining('cannot be reached'),
  });
});
