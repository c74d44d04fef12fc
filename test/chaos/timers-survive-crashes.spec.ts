import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type ScriptProcess, waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';
import { faultsOfFirings, firings } from '../support/timers.js';

const COUNT = 900;

let fixture: Fixture;
beforeEach(async () => {
  fixture = await Fixture.create();
});
afterEach(() => fixture.close());

test('timers survive processes that are killed between claim and commit, two at a time', async () => {
  const schedule = { first: 0, count: COUNT, fromMs: 0, toMs: 3_000 };
  const scheduler = await startProgram('timers', { url: fixture.url, fire: false, schedule });
  const mortal = { killEvery: 100, options: { passTimers: 40, leaseMs: 1_000 } };
  let deaths = 0;
  let isOver = false;
  const alive = new Set<ScriptProcess>();
  const mortals = Array.from({ length: 2 }, async () => {
    while (!isOver) {
      const program = await startProgram('timers', { url: fixture.url, ...mortal }).catch(() => undefined);
      if (program === undefined) continue;
      alive.add(program);
      if (isOver) program.kill('SIGKILL');
      await program.exited;
      alive.delete(program);
      if (!isOver) deaths += 1;
    }
  });
  try {
    await waitUntil(
      async () =>
        (await fixture.value('select coalesce(sum(record_count), 0)::int from waybill_bus.log_batch')) >=
        COUNT,
      { describe: `${COUNT} timers have been fired`, timeoutMs: 60_000, intervalMs: 100 },
    );
  } finally {
    isOver = true;
    for (const program of alive) program.kill('SIGKILL');
    await Promise.all([...mortals, stopProgram(scheduler)]);
  }
  expect(deaths).toBeGreaterThan(0);
  expect(faultsOfFirings(await firings(fixture), COUNT)).toEqual([]);
});
