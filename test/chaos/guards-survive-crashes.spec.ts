import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '@waybill/kernel';
import { type ScriptProcess, startPostgres, testServerUrl, waitUntil } from '@waybill/testing';
import { Participant } from '../support/barriers.js';
import { Fixture, upTo } from '../support/fixture.js';
import { Gateway } from '../support/gateway.js';
import { startProgram } from '../support/programs.js';
import { describeWithRedis } from '../support/timers.js';

describe('external effects', () => {
  let fixture: Fixture;
  let gateway: Gateway;
  beforeAll(async () => {
    fixture = await Fixture.create({});
    gateway = await Gateway.start();
  });
  afterAll(async () => {
    await gateway.close();
    await fixture.close();
  });
  const start = (settings: Readonly<Record<string, unknown>>): Promise<ScriptProcess> =>
    startProgram('effect-caller', {
      url: fixture.url,
      gatewayUrl: gateway.url,
      // A call that a busy machine delays must still end in its lease.
      options: { leaseMs: 5_000, timeoutMs: 3_000 },
      ...settings,
    });
  const outcomeOf = async (script: ScriptProcess, key: string): Promise<unknown> => {
    await script.exited;
    const line = script.lines.find((text) => text.startsWith(`${key} `));
    return line === undefined ? script.output : JSON.parse(line.slice(key.length + 1));
  };

  test.each(['attempted', 'called', 'recorded'])(
    'one killed when it has %s is charged once',
    async (dieAt) => {
      const prefix = `killed-${dieAt}`;
      const first = await start({ prefix, dieAt });
      expect(await first.exited).toMatchObject({ signal: 'SIGKILL' });
      expect(gateway.done(`${prefix}-0`)).toBe(dieAt === 'attempted' ? 0 : 1);
      const second = await start({ prefix });
      expect(await outcomeOf(second, `${prefix}-0`)).toEqual({ receipt: expect.any(Number) });
      expect(gateway.done(`${prefix}-0`)).toBe(1);
      expect(gateway.calls(`${prefix}-0`)).toBe(1);
    },
  );

  test('one killed during the call to the gateway is charged once', async () => {
    const key = 'killed-calling-0';
    let letGo: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    gateway.mood.before = (called) => (called === key ? gate : Promise.resolve());
    const first = await start({ prefix: 'killed-calling' });
    await waitUntil(() => gateway.calls(key) === 1, { describe: () => 'the call is running' });
    first.kill('SIGKILL');
    await first.exited;
    const second = await start({ prefix: 'killed-calling' });
    letGo();
    expect(await outcomeOf(second, key)).toEqual({ receipt: expect.any(Number) });
    expect(gateway.done(key)).toBe(1);
  });

  test.each(['attempted', 'called', 'recorded'])(
    'one killed when its undoing has %s is undone once',
    async (dieAt) => {
      const prefix = `undone-${dieAt}`;
      await (
        await start({ prefix })
      ).exited;
      await (
        await start({ prefix, undo: true, dieAt })
      ).exited;
      const again = await start({ prefix, undo: true });
      expect(await outcomeOf(again, `${prefix}-0`)).toMatchObject({ state: 'undone' });
      expect([gateway.done(`${prefix}-0`), gateway.calls(`${prefix}-0:undo`)]).toEqual([1, 1]);
    },
  );

  test('charging and undoing race in processes that crash: nothing stays charged', async () => {
    const settings = { prefix: 'race', count: 120, parallel: 8 };
    const dying = { dieEvery: 25 };
    // Two that charge and two that undo start together; each is restarted when it crashes.
    const racers = [{}, {}, { undo: true }, { undo: true }];
    const scripts = await Promise.all(
      racers.map((racer) => start({ ...settings, ...racer, ...dying, waits: true })),
    );
    const untilDone = async (racer: object, first: ScriptProcess): Promise<void> => {
      first.kill('SIGUSR2');
      let { code } = await first.exited;
      for (let deaths = 1; code !== 0; deaths += 1) {
        const script = await start({ ...settings, ...racer, ...(deaths < 6 && dying) });
        ({ code } = await script.exited);
      }
    };
    await Promise.all(scripts.map((script, n) => untilDone(racers[n] as object, script)));
    const keys = upTo(settings.count).map((n) => `race-${n}`);
    const open = keys.filter((key) => gateway.done(key) !== gateway.done(`${key}:undo`));
    expect(open).toEqual([]);
    // Both outcomes have occurred.
    expect(new Set(keys.map((key) => gateway.done(key)))).toEqual(new Set([0, 1]));
  });
});

describe('the barrier', () => {
  const GIDS = 60;

  async function race(
    bank: Participant,
    ops: readonly (readonly string[])[],
    dieEvery = 0,
  ): Promise<string[]> {
    const gids = upTo(GIDS).map(() => newId());
    const settings = { url: bank.url, gids, dieEvery };
    const scripts = await Promise.all(
      ops.map((own) => startProgram('barrier-racer', { ...settings, ops: own, waits: true })),
    );
    for (const script of scripts) script.kill('SIGUSR2');
    await Promise.all(scripts.map(({ exited }) => exited));
    const all = ['compensate', 'action'];
    const last = await startProgram('barrier-racer', { ...settings, ops: all, dieEvery: 0 });
    expect(await last.exited).toMatchObject({ code: 0 });
    const output = scripts.map((script) => script.output).join('\n');
    expect(output).not.toMatch(/^failed/m);
    return Promise.all(gids.map(async (gid) => (await bank.effects(gid)).join(' ')));
  }

  test('n compensations race with the action in 4 processes: both, or neither', async () => {
    const bank = await Participant.create(testServerUrl());
    const back = ['compensate', 'compensate', 'compensate'];
    const ends = await race(bank, [['action', 'action'], back, back, ['action', ...back]]);
    expect(new Set(ends)).toEqual(new Set(['', 'action compensate']));
    await bank.close();
  });

  test('even when processes crash in the middle, and in a second cluster', async () => {
    const server = await startPostgres();
    const bank = await Participant.create(server.connectionString);
    const both = ['action', 'compensate', 'action', 'compensate'];
    const ends = await race(bank, [both, both, both, both], 20);
    for (const end of ends) expect(['', 'action compensate']).toContain(end);
    await bank.close();
    await server.stop();
  });
});

describeWithRedis('leases', (redis) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create({});
  });
  afterAll(() => fixture.close());
  const start = (settings: Readonly<Record<string, unknown>>): Promise<ScriptProcess> =>
    startProgram('lease-claimer', { url: fixture.url, redisUrl: redis().url, ...settings });
  const effects = (prefix: string): Promise<number[]> =>
    fixture.database.pool
      .query<{ count: number }>(
        'select count(*)::int as count from effect where message_id like $1 group by message_id',
        [`${prefix}-%`],
      )
      .then(({ rows }) => rows.map(({ count }) => count));
  const resultsOf = (scripts: readonly ScriptProcess[]): string[] =>
    scripts.flatMap((script) => script.lines.filter((line) => line.startsWith('result ')));

  describe.each(['postgres', 'redis', 'backed'] as const)('in %s', (kind) => {
    test('50 duplicates in 4 processes have one effect, and one result', async () => {
      const settings = { kind, prefix: `many-${kind}` };
      const scripts = await Promise.all([13, 13, 12, 12].map((times) => start({ ...settings, times })));
      await Promise.all(scripts.map(({ exited }) => exited));
      const results = resultsOf(scripts);
      expect(results).toHaveLength(50);
      expect(new Set(results).size).toBe(1);
      expect(await effects(settings.prefix)).toEqual([1]);
    });

    test('a paused holder is fenced, and the result of the next counts', async () => {
      const settings = { kind, prefix: `still-${kind}`, options: { leaseMs: 400 } };
      const first = await start({ ...settings, hold: true });
      await first.waitForLine(/^working/);
      first.stop();
      const second = await start(settings);
      await second.exited;
      first.cont();
      first.kill('SIGUSR2');
      await first.exited;
      expect(resultsOf([first])).toEqual([`result still-${kind}-0 failed FENCED`]);
      const third = await start(settings);
      await third.exited;
      expect(resultsOf([third])).toEqual(resultsOf([second]));
      expect(resultsOf([third])[0]).toContain(String(second.pid));
    });

    test.each([
      ['claimed', 1],
      ['effect', 2],
      ['done', 1],
    ] as const)('one killed when it has %s leaves a name that can be claimed again', async (dieIn, count) => {
      const settings = { kind, prefix: `dead-${dieIn}-${kind}`, options: { leaseMs: 400 } };
      const first = await start({ ...settings, dieIn });
      await first.exited;
      const second = await start(settings);
      await second.exited;
      expect(resultsOf([second])[0]).toMatch(/"fence"/);
      // A crash between the effect and its mark cannot be detected: the work runs again, as documented.
      expect(await effects(settings.prefix)).toEqual([count]);
    });
  });

  test('with PostgreSQL as its fallback, a Redis that is flushed, killed and paused duplicates nothing', async () => {
    const settings = { kind: 'backed', prefix: 'shaken', count: 60, times: 2 };
    const scripts = await Promise.all(upTo(4).map(() => start(settings)));
    let running = true;
    const ended = Promise.all(scripts.map(({ exited }) => exited)).finally(() => (running = false));
    const shakes = [
      () => redis().command('FLUSHALL'),
      () => redis().restart(),
      async () => redis().pause(),
      async () => redis().resume(),
      () => redis().kill(),
      () => redis().start(),
    ];
    for (let n = 0; running; n += 1) {
      await shakes[n % shakes.length]?.();
      const done = await fixture.value<number>(
        `select count(*)::int from effect where message_id like 'shaken-%'`,
      );
      const next = Math.min(60, done + 3);
      await waitUntil(
        async () =>
          !running ||
          (await fixture.value<number>(
            `select count(*)::int from effect where message_id like 'shaken-%'`,
          )) >= next,
        { describe: () => 'some more are done' },
      );
    }
    await ended;
    redis().resume();
    await redis().start();
    const counts = await effects('shaken');
    expect(counts).toHaveLength(60);
    expect(new Set(counts)).toEqual(new Set([1]));
    expect(new Set(resultsOf(scripts)).size).toBe(60);
  });
});
