import { expect, test } from '@jest/globals';
import { type Clock, type PgDatabase, silentLogger } from '@waybill/kernel';
import { TimerUpkeep } from '../src/timer-upkeep.js';

test('a sweep that was held up does not put off the next one for long', async () => {
  let nowMs = 0;
  let sweepMs = 60_000;
  const found: number[] = [];
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} };
  const run = async ({ name }: { readonly name: string }): Promise<unknown[]> => {
    if (name !== 'probe-timers') return [{ moved: 0 }];
    // The server stalls, or the process is stopped.
    nowMs += sweepMs;
    return [{ nowMs: 5, nextMs: 3 }];
  };
  const database = { session: { run } } as unknown as PgDatabase;
  const upkeep = new TimerUpkeep(database, [1], (dueMs) => found.push(dueMs), clock, silentLogger);
  await upkeep.runOnce();
  expect(found).toHaveLength(1);
  sweepMs = 1;
  nowMs += 30_000;
  await upkeep.runOnce();
  expect(found).toHaveLength(2);
  // One that was quick is followed by the next after five seconds.
  nowMs += 4_000;
  await upkeep.runOnce();
  expect(found).toHaveLength(2);
  nowMs += 1_000;
  await upkeep.runOnce();
  expect(found).toHaveLength(3);
});
