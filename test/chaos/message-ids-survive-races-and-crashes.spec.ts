import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { newId } from '@waybill/kernel';
import type { ScriptProcess } from '@waybill/testing';
import type pg from 'pg';
import { Fixture, upTo } from '../support/fixture.js';
import { effects } from '../support/message-guard.js';
import { startProgram } from '../support/programs.js';

interface Taken {
  readonly id: string;
  readonly by: number;
  readonly duplicate: boolean;
}

let fixture: Fixture;
let starter: pg.PoolClient;
beforeEach(async () => {
  fixture = await Fixture.create();
  starter = await fixture.database.pool.connect();
  await starter.query('select pg_advisory_lock(1)');
});
afterEach(async () => {
  starter.release(true);
  await fixture.close();
});

const startTakers = (settings: readonly object[]): Promise<ScriptProcess[]> =>
  Promise.all(settings.map((given) => startProgram('message-taker', { url: fixture.url, ...given })));
const go = (): Promise<unknown> => starter.query('select pg_advisory_unlock(1)');

/** What the processes reported, once they have ended. */
async function taken(processes: readonly ScriptProcess[]): Promise<Taken[]> {
  await Promise.all(processes.map(({ exited }) => exited));
  return processes.flatMap(({ lines }) =>
    lines.flatMap((line) => /^took (.*)$/.exec(line)?.[1] ?? []).map((json) => JSON.parse(json) as Taken),
  );
}

/** What is wrong with the reports: a message with two results, or that ran twice. */
async function faultsOf(told: readonly Taken[], ids: readonly string[]): Promise<string[]> {
  const faults: string[] = [];
  const counts = await effects(fixture);
  for (const id of ids) {
    const of = told.filter((taking) => taking.id === id);
    const results = new Set(of.map(({ by }) => by));
    if (results.size > 1) faults.push(`${id} has the results ${[...results].join(', ')}`);
    if (of.filter(({ duplicate }) => !duplicate).length > 1) faults.push(`${id} was reported as new twice`);
    if (counts[id] !== 1) faults.push(`${id} took effect ${counts[id] ?? 0} times`);
  }
  return faults;
}

test.each([0, 30])(
  'a message that comes 50 times at once in 4 processes takes effect once, and all get its result; its work takes %s ms',
  async (workMs) => {
    const id = newId();
    const processes = await startTakers([13, 13, 12, 12].map((times) => ({ ids: [id], times, workMs })));
    await go();
    const told = await taken(processes);
    expect(told).toHaveLength(50);
    expect(told.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(await faultsOf(told, [id])).toEqual([]);
  },
);

test("many messages, each in 4 processes, while the ring's slot changes: each takes effect once", async () => {
  const ids = upTo(150).map((n) => (n % 3 === 0 ? `order-${n}` : newId()));
  const processes = await startTakers(upTo(4).map(() => ({ ids, times: 2, parallel: 6 })));
  await go();
  let turns = 0;
  const ended = taken(processes);
  const over = ended.then(() => true);
  while (!(await Promise.race([over, new Promise<false>((resolve) => setTimeout(resolve, 100, false))]))) {
    turns += 1;
    // As if a slot's time had passed, within the window: no stored message may be missed.
    if (turns > 4) continue;
    await fixture.database.pool.query(
      `create or replace function waybill.message_slot_number(at timestamptz) returns bigint language sql immutable
           as $$ select floor(extract(epoch from at) / 691200)::bigint + ${turns} $$`,
    );
  }
  const told = await ended;
  expect(turns).toBeGreaterThan(0);
  expect(told).toHaveLength(4 * 2 * ids.length);
  expect(await faultsOf(told, ids)).toEqual([]);
});

test.each(['entering', 'working', 'worked', 'kept', 'committed'])(
  'a process that is killed at "%s" among others leaves one effect, and the others continue at once',
  async (killAt) => {
    const ids = upTo(6).map(() => newId());
    const [victim, ...others] = await startTakers([
      { ids, killAt, times: 2 },
      { ids, times: 3, workMs: 5 },
      { ids, times: 3, workMs: 5 },
    ]);
    await go();
    const { signal } = (await victim?.exited) ?? {};
    const told = await taken([victim as ScriptProcess, ...others]);
    // The test must have exercised it: at the places that only the first reaches, this process may always have been
    // second.
    if (killAt === 'entering' || killAt === 'committed') expect(signal).toBe('SIGKILL');
    expect(told.length).toBeGreaterThanOrEqual(2 * 3 * ids.length);
    expect(await faultsOf(told, ids)).toEqual([]);
  },
);

test.each(['entering', 'working', 'worked', 'kept', 'committed'])(
  'a process that is killed at "%s" alone leaves nothing, or all of it, to the next',
  async (killAt) => {
    const id = newId();
    const [victim] = await startTakers([{ ids: [id], killAt }]);
    await go();
    expect((await victim?.exited)?.signal).toBe('SIGKILL');
    await starter.query('select pg_advisory_lock(1)');
    const next = await startTakers([{ ids: [id] }]);
    await go();
    const [told] = await taken(next);
    expect(told?.duplicate).toBe(killAt === 'committed');
    expect(await effects(fixture)).toEqual({ [id]: 1 });
  },
);
