import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { systemClock } from '@waybill/kernel';
import { type RedisServer, type ScriptProcess, waitUntil } from '@waybill/testing';
import { Fixture } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';
import { describeWithRedis, faultsOfFirings, type Firing, firings } from '../support/timers.js';

/** WAYBILL_TIMERS=100000 WAYBILL_TIMERS_SPAN_MS=300000 is the full size; `npm test` runs it compressed. */
const COUNT = Number(process.env['WAYBILL_TIMERS'] ?? 4_000);
const SPAN_MS = Number(process.env['WAYBILL_TIMERS_SPAN_MS'] ?? 10_000);
/** How long Redis is down each time. */
const AWAY_MS = SPAN_MS / 5;
const TEST_MS = 3 * SPAN_MS + 60_000;

describeWithRedis('timers', (redis) => {
  const fixtures: Fixture[] = [];
  let programs: ScriptProcess[] = [];
  const create = async (): Promise<Fixture> => {
    const fixture = await Fixture.create();
    fixtures.push(fixture);
    return fixture;
  };
  beforeEach(() => {
    programs = [];
  });
  afterEach(async () => {
    await Promise.all(programs.map(stopProgram));
    for (const fixture of fixtures.splice(0)) await fixture.close();
  });

  const start = async (
    fixture: Fixture,
    settings: Readonly<Record<string, unknown>>,
  ): Promise<ScriptProcess> => {
    const program = await startProgram('timers', { url: fixture.url, ...settings });
    programs.push(program);
    return program;
  };
  /** Two processes that each schedule half of the timers, and the firings once all have fired. */
  const run = async (fixture: Fixture, redisUrl?: string, prefix?: string): Promise<Firing[]> => {
    const half = COUNT / 2;
    const clock = redisUrl === undefined ? {} : { redis: redisUrl, options: { prefix } };
    for (const first of [0, half]) {
      const schedule = { first, count: half, fromMs: 1_000, toMs: SPAN_MS };
      await start(fixture, { ...clock, schedule });
    }
    return untilFired(fixture, COUNT, SPAN_MS + 40_000);
  };
  const untilFired = async (fixture: Fixture, count: number, timeoutMs: number): Promise<Firing[]> => {
    const fired = (): Promise<number> =>
      fixture.value('select coalesce(sum(record_count), 0)::int from waybill.log_batch');
    await waitUntil(async () => (await fired()) >= count, {
      describe: `${count} timers have been fired`,
      timeoutMs,
      intervalMs: 100,
    });
    return firings(fixture);
  };
  const report = (name: string, fired: readonly Firing[]): number => {
    const late = fired.map(({ dueMs, appendedMs }) => appendedMs - dueMs).toSorted((a, b) => a - b);
    const quantile = (share: number): number => Math.round(late[Math.floor((late.length - 1) * share)] ?? 0);
    if (process.env['WAYBILL_TIMERS'] !== undefined) {
      console.info(
        `${name}: ${late.length} fired, late p50 ${quantile(0.5)} p99 ${quantile(0.99)} max ${quantile(1)} ms`,
      );
    }
    return quantile(1);
  };

  /** Kills Redis, flushes it repeatedly, and pauses it, within the span. */
  const torment = async (server: RedisServer): Promise<void> => {
    const flushes = new AbortController();
    const flushing = (async () => {
      while (!flushes.signal.aborted) {
        await systemClock.sleep(AWAY_MS, flushes.signal);
        await server.command('FLUSHALL').catch(() => '');
      }
    })();
    await systemClock.sleep(AWAY_MS);
    await server.restart();
    await systemClock.sleep(AWAY_MS);
    server.pause();
    await systemClock.sleep(AWAY_MS);
    server.resume();
    await systemClock.sleep(AWAY_MS / 2);
    await server.kill();
    await systemClock.sleep(AWAY_MS / 2);
    await server.start();
    flushes.abort();
    await flushing;
  };

  test(
    'are neither lost, early nor duplicated while Redis is disrupted, without Redis, and under a held snapshot',
    async () => {
      const [withRedis, without, held] = [await create(), await create(), await create()];
      const holder = await held.database.pool.connect();
      await holder.query('begin isolation level repeatable read');
      await holder.query('select count(*) from waybill.timer');
      const tormented = torment(redis());
      const [a, b, c] = await Promise.all([
        run(withRedis, redis().url, '{tormented}'),
        run(without),
        run(held),
        tormented,
      ]);
      await holder.query('rollback');
      holder.release();
      for (const [name, fired] of [
        ['Redis disrupted', a],
        ['no Redis', b],
        ['held snapshot', c],
      ] as const) {
        expect(faultsOfFirings(fired, COUNT)).toEqual([]);
        expect(report(name, fired)).toBeLessThan(10_000);
      }
    },
    TEST_MS,
  );

  test('survive processes that are killed between claim and commit, two at a time', async () => {
    const fixture = await create();
    const count = 900;
    await start(fixture, { fire: false, schedule: { first: 0, count, fromMs: 0, toMs: 3_000 } });
    const mortal = { killEvery: 100, options: { passTimers: 40, leaseMs: 1_000 } };
    let deaths = 0;
    const done = new AbortController();
    const mortals = Array.from({ length: 2 }, async () => {
      while (!done.signal.aborted) {
        const program = await startProgram('timers', { url: fixture.url, ...mortal }).catch(() => undefined);
        if (program === undefined) continue;
        done.signal.addEventListener('abort', () => program.kill('SIGKILL'));
        if (done.signal.aborted) program.kill('SIGKILL');
        await program.exited;
        if (!done.signal.aborted) deaths += 1;
      }
    });
    const fired = await untilFired(fixture, count, 60_000);
    done.abort();
    await Promise.all(mortals);
    expect(deaths).toBeGreaterThan(0);
    expect(faultsOfFirings(fired, count)).toEqual([]);
  }, 90_000);

  test("follow the database's clock when the clocks of processes are an hour wrong, one forward and one back", async () => {
    const fixture = await create();
    const count = 600;
    const common = { redis: redis().url, options: { prefix: '{skewed}' } };
    await start(fixture, {
      ...common,
      skewMs: 3_600_000,
      schedule: { first: 0, count: 300, fromMs: 0, toMs: 4_000 },
    });
    await start(fixture, {
      ...common,
      skewMs: -3_600_000,
      schedule: { first: 300, count: 300, fromMs: 0, toMs: 4_000 },
    });
    const fired = await untilFired(fixture, count, 20_000);
    expect(faultsOfFirings(fired, count)).toEqual([]);
    expect(report('wrong clocks', fired)).toBeLessThan(10_000);
  }, 60_000);
});
