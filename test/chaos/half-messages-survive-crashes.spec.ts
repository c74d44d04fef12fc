import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type ScriptProcess, waitUntil } from '@waybill/testing';
import { faultsOf, Fixture, numbersOf, upTo } from '../support/fixture.js';
import { HalfFloor, LocalLedger, order } from '../support/half-operations.js';
import { startProgram, stopProgram } from '../support/programs.js';

let fixture: Fixture;
let ledger: LocalLedger;
let floor: HalfFloor;
beforeEach(async () => {
  fixture = await Fixture.create();
  ledger = await LocalLedger.create();
  floor = new HalfFloor(fixture, ledger.databases);
});
afterEach(async () => {
  await ledger.close();
  await fixture.close();
});

/** The number after the last half that a producer started. */
function nextOf(producer: ScriptProcess, first: number): number {
  const began = producer.lines.flatMap((line) => /^began (\d+)/.exec(line)?.[1] ?? []).map(Number);
  return Math.max(first - 1, ...began) + 1;
}

/** Produces the numbers up to `end`, restarting the producer each time it has killed itself. */
async function produce(how: string, end: number, settings: object): Promise<number> {
  let crashes = 0;
  for (let first = 0; first < end;) {
    const given = { url: fixture.url, ledgerUrl: ledger.url, how, first, end, ...settings };
    const producer = await startProgram('half-producer', given).catch(() => undefined);
    if (producer === undefined) continue;
    const { signal } = await producer.exited;
    expect(producer.lines.filter((line) => line.startsWith('failed'))).toEqual([]);
    first = nextOf(producer, first);
    if (signal === 'SIGKILL') crashes += 1;
  }
  return crashes;
}

/** Keeps a checker running that kills itself, until it is stopped. */
function keepChecking(settings: object): { stop(): Promise<number> } {
  let stopped = false;
  let crashes = 0;
  let running: ScriptProcess | undefined;
  const loop = (async () => {
    while (!stopped) {
      const starting = startProgram('half-checker', { url: fixture.url, ...settings });
      running = await starting.catch(() => undefined);
      if (stopped && running !== undefined) await stopProgram(running);
      if ((await running?.exited)?.signal === 'SIGKILL') crashes += 1;
    }
  })();
  return {
    async stop() {
      stopped = true;
      running?.kill('SIGTERM');
      await loop;
      return crashes;
    },
  };
}

/** Half messages in all; WAYBILL_HALVES=20000 is the full size. */
const HALVES = Number(process.env['WAYBILL_HALVES'] ?? 1_600);

test.each(['xact-status', 'check'])(
  '%s: with producers and checkers killed everywhere, what was committed locally is delivered once, the rest never',
  async (how) => {
    const count = Math.ceil(HALVES / 2);
    const options = { checkTimeoutMs: 1_000, retryMs: 50, retryMaxMs: 400, pollMs: 50 };
    const group = `payments-${how}`;
    const checkers = [100, 0].map((killEvery) =>
      keepChecking({ ledgerUrl: ledger.url, group, killEvery, options }),
    );
    const halfOptions = { checkImmunityMs: 200, checkIntervalMs: 200, checkMax: 100 };
    const crashes = await produce(how, count, { killEvery: 60, options: halfOptions });
    await waitUntil(
      // Claims of checkers that were killed expire in six seconds.
      async () => (await floor.operations.stats()).open === 0,
      { describe: 'all are decided', timeoutMs: 60_000, intervalMs: 100 },
    );
    const checkersKilled = await Promise.all(checkers.map((checker) => checker.stop()));
    const records = await fixture.log();
    expect(faultsOf(records)).toEqual([]);
    expect(numbersOf(records)).toEqual(await ledger.done());
    // The test must have exercised it.
    expect(crashes).toBeGreaterThan(3);
    const decided = await fixture.database.pool.query<{ by: string }>(
      'select distinct decided_by as by from waybill.half_message_decided order by 1',
    );
    expect(decided.rows.map(({ by }) => by)).toEqual([how, 'producer'].toSorted());
    expect(checkersKilled).toHaveLength(2);
  },
  240_000 + HALVES * 50,
);

test('a checker that is paused beyond its claim, and resumes with another verdict, is refused', async () => {
  const { id } = await floor.halves.prepare(order(1), { checkImmunityMs: 0 });
  const given = { url: fixture.url, group: 'payments', options: { pollMs: 20, checkTimeoutMs: 60_000 } };
  const slow = await startProgram('half-checker', { ...given, verdict: 'rollback', answerAfterMs: 3_000 });
  await slow.waitForLine(/^checking/);
  slow.stop();
  // As if its claim had expired, without waiting for that.
  await floor.makeDue();
  const quick = await startProgram('half-checker', { ...given, verdict: 'commit' });
  await waitUntil(async () => (await floor.operations.show(id)).state === 'committed', {
    describe: 'it is decided',
  });
  await stopProgram(quick);
  slow.cont();
  const { id: second } = await floor.halves.prepare(order(2), { checkImmunityMs: 0 });
  await waitUntil(async () => (await floor.operations.show(second)).state === 'rolled-back', {
    describe: 'the slow one continues',
  });
  await stopProgram(slow);
  expect(JSON.parse(slow.lines.at(-1) ?? '')).toMatchObject({ rollback: 1, fenced: 1 });
  expect(numbersOf(await fixture.log())).toEqual([1]);
});

test('producer and checkers in other processes commit the same halves at once: each is delivered once', async () => {
  const given = { url: fixture.url, group: 'payments', options: { pollMs: 5 }, verdict: 'commit' };
  const checkers = await Promise.all([1, 2].map(() => startProgram('half-checker', given)));
  const outcomes = new Set<string>();
  for (const n of upTo(150)) {
    const { id } = await floor.halves.prepare(order(n), { checkImmunityMs: 0 });
    // Sometimes before the checkers have found it, sometimes after, and mostly at the same time.
    await new Promise((resolve) => setTimeout(resolve, n % 20));
    outcomes.add(await floor.halves.commit(id));
  }
  await Promise.all(checkers.map(stopProgram));
  const records = await fixture.log();
  expect(faultsOf(records)).toEqual([]);
  expect(numbersOf(records)).toEqual(upTo(150));
  expect([...outcomes].toSorted()).toEqual(['already', 'done']);
});
