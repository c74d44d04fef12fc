import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Logger } from '@waybill/kernel';
import type { TimerService, Timers } from '@waybill/timer';
import { choosePort, type RedisServer, startRedis, waitUntil } from '@waybill/testing';
import { faultsOf, Fixture } from '../support/fixture.js';
import { describeWithRedis, message, timersOf } from '../support/timers.js';

/** When Redis fails, the promise is seconds, even on a busy machine; a benchmark measures punctuality. */
const SECONDS_MS = 10_000;

describeWithRedis('the Redis clock', (redis) => {
  let fixture: Fixture;
  let timers: Timers;
  let service: TimerService;
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const logger: Logger = { debug() {}, info: note, warn: note, error: note };
  let next = 0;
  beforeAll(async () => {
    fixture = await Fixture.create();
    ({ timers, service } = timersOf(fixture, redis(), { distrustMs: 1_000 }, { logger }));
    service.start();
  });
  afterAll(async () => {
    await service.stop();
    await fixture.close();
  });

  const inUse = (wanted: TimerService = service): Promise<unknown> =>
    waitUntil(() => wanted.status.clock === 'redis', { describe: 'Redis is the clock', timeoutMs: 15_000 });
  const degraded = (): Promise<unknown> =>
    waitUntil(() => service.status.degraded, { describe: 'Redis is not relied on', timeoutMs: SECONDS_MS });
  /** Schedules some timers and waits until they have fired; returns by how much the latest was late. */
  const fire = async (
    delaysMs: readonly number[] = [50, 150, 250, 400],
    between = async () => {},
  ): Promise<number> => {
    const first = next;
    for (const delayMs of delaysMs) {
      const dueMs = (await databaseNow()) + delayMs;
      await timers.schedule(message(next, { dueMs }), { dueAt: new Date(dueMs) });
      next += 1;
    }
    await between();
    await waitUntil(async () => (await fixture.log()).length >= next, {
      describe: 'all have arrived',
      timeoutMs: 20_000,
    });
    const { rows } = await fixture.database.pool.query<{ at: number }>(
      `select (extract(epoch from max(appended_at)) * 1000)::float8 as at from waybill_bus.log_batch`,
    );
    const due = (await fixture.log())
      .filter(({ payload }) => payload.n >= first)
      .map(({ payload }) => Number(payload['dueMs']));
    return (rows[0]?.at ?? 0) - Math.max(...due);
  };
  const databaseNow = async (): Promise<number> =>
    Math.ceil(await fixture.value('select (extract(epoch from clock_timestamp()) * 1000)::float8'));

  test('wakes for timers within moments, one job for each slot of time, and leaves no key', async () => {
    await inUse();
    expect(await fire()).toBeLessThan(SECONDS_MS);
    const slot = 20 * Math.ceil(((await databaseNow()) + 1_500) / 20);
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        timers.schedule(message(next + index), { dueAt: new Date(slot - (index % 20)) }),
      ),
    );
    await waitUntil(async () => (await count('delayed')) === 1, { describe: 'fifty timers are one job' });
    next += 50;
    await waitUntil(async () => (await fixture.log()).length === next, { describe: 'they have arrived' });
    await waitUntil(async () => (await keys()).every((key) => !key.includes('slot-')), {
      describe: 'no job is left',
    });
    expect(service.status).toMatchObject({ degraded: false, maxmemoryPolicy: 'noeviction' });
  });

  const count = async (list: string): Promise<number> =>
    Number(/:(\d+)/.exec(await redis().command('ZCARD', `{waybill}:timers:${list}`))?.[1]);
  const keys = async (): Promise<string[]> =>
    (await redis().command('KEYS', '*')).split('\r\n').filter((line) => line.includes('waybill'));

  test('holds no job for far timers, and loads them when they come near', async () => {
    const before = (await keys()).length;
    for (let n = 0; n < 20; n += 1)
      await timers.schedule(message(n, { token: 'far' }), { delayMs: 86_400_000 + n });
    expect((await keys()).length).toBe(before);
    expect(await timers.cancel({ token: 'far' })).toBe(20);
  });

  test.each<[string, (server: RedisServer) => Promise<void>, (server: RedisServer) => Promise<void>]>([
    ['is killed without a save', (server) => server.kill(), (server) => server.start()],
    [
      'is paused',
      async (server) => server.pause(),
      async (server) => {
        server.resume();
      },
    ],
    [
      'is out of memory',
      async (server) => void (await server.command('CONFIG', 'SET', 'maxmemory', '1')),
      async (server) => void (await server.command('CONFIG', 'SET', 'maxmemory', '0')),
    ],
  ])(
    'fires from PostgreSQL while Redis %s, and is the clock again afterwards',
    async (_, harm, mend) => {
      await inUse();
      const late = await fire([100, 1_000, 2_500, 4_000], () => harm(redis()));
      expect(late).toBeLessThan(SECONDS_MS);
      await degraded();
      expect(service.status).toMatchObject({ clock: 'postgres', degraded: true });
      expect(service.status.reason).toBeDefined();
      await mend(redis());
      await inUse();
      expect(await fire()).toBeLessThan(SECONDS_MS);
    },
    60_000,
  );

  test('notices when everything in Redis is deleted, and reloads the window', async () => {
    await inUse();
    const { loads } = service.status;
    const late = await fire([1_500, 2_500, 3_500], async () => void (await redis().command('FLUSHALL')));
    expect(late).toBeLessThan(SECONDS_MS);
    expect(service.status.loads).toBeGreaterThan(loads);
  });

  test('notices an older copy of Redis, by the server or by its own record', async () => {
    await inUse();
    const { loads } = service.status;
    const record = '{waybill}:timers:window';
    await redis().command('SET', record, '{"epoch":"old","server":"another","untilMs":99999999999999}');
    await waitUntil(() => service.status.loads > loads, { describe: 'the window is reloaded' });
    await redis().command('SET', record, 'nonsense');
    await waitUntil(() => service.status.loads > loads + 1, { describe: 'it is loaded once more' });
    await inUse();
  });

  test('works with a slow Redis', async () => {
    await inUse();
    const sleeping = redis().command('DEBUG', 'SLEEP', '3');
    expect(await fire([200, 1_200, 2_200])).toBeLessThan(SECONDS_MS);
    await sleeping;
    await inUse();
  });

  test('fires what Redis has lost, and relies on PostgreSQL for a while', async () => {
    await inUse();
    const late = await fire([1_500], async () => {
      // Only the jobs: the record of the loader stays.
      for (const key of (await keys()).filter((name) => name.includes('timers:delayed')))
        await redis().command('DEL', key);
    });
    expect(late).toBeLessThan(SECONDS_MS);
    await inUse();
  });

  test('logs each change of state once, and nothing else', () => {
    const said = lines.filter((line) => line.includes('timer clock'));
    for (let index = 1; index < said.length; index += 1) expect(said[index]).not.toBe(said[index - 1]);
    expect(said.length).toBeGreaterThanOrEqual(5);
    expect(lines.filter((line) => line.includes('failed'))).toEqual([]);
  });

  test('starts without Redis, uses it once it is available, and reports an eviction policy', async () => {
    const port = await choosePort(0);
    const warnings: string[] = [];
    const late = timersOf(
      fixture,
      { url: `redis://127.0.0.1:${port}` } as RedisServer,
      {},
      { logger: { debug() {}, info() {}, warn: (line) => void warnings.push(line), error() {} } },
    );
    await service.stop();
    late.service.start();
    ({ timers } = late);
    expect(await fire()).toBeLessThan(SECONDS_MS);
    expect(late.service.status).toMatchObject({ clock: 'postgres', degraded: true });
    const server = await startRedis({ port: String(port), 'maxmemory-policy': 'allkeys-lru' });
    try {
      await inUse(late.service);
      expect(late.service.status.maxmemoryPolicy).toBe('allkeys-lru');
      expect(warnings.join('\n')).toMatch(/Set it to noeviction/);
      expect(await fire()).toBeLessThan(SECONDS_MS);
    } finally {
      await late.service.stop();
      await server.stop();
    }
    expect(faultsOf(await fixture.log())).toEqual([]);
  });
});
