import { describe, expect, test } from '@jest/globals';
import { BackgroundService, Bell, type PassResult } from '../src/index.js';

/** Resolves at the `count`th pass. */
function passes(): {
  run: () => Promise<PassResult>;
  reached: (count: number) => Promise<void>;
  readonly count: number;
} {
  let count = 0;
  const waiters: { at: number; resolve: () => void }[] = [];
  return {
    run: () => {
      count += 1;
      for (const waiter of waiters) if (count >= waiter.at) waiter.resolve();
      return Promise.resolve('idle');
    },
    reached: (at) =>
      count >= at ? Promise.resolve() : new Promise((resolve) => waiters.push({ at, resolve })),
    get count() {
      return count;
    },
  };
}

describe('a background service', () => {
  test('may be stopped before it is started, stopped twice, and started again', async () => {
    const counted = passes();
    const service = new BackgroundService({ name: 'test', runOnce: counted.run, idleMaxMs: 5 });
    await service.stop();
    await service.stop();
    service.start();
    service.start();
    await counted.reached(2);
    await Promise.all([service.stop(), service.stop()]);
    expect(service.running).toBe(false);
    const before = counted.count;
    service.start();
    await counted.reached(before + 1);
    await service.stop();
  });

  test('is woken by its bell, also by a ring that came during a pass', async () => {
    const bell = new Bell();
    const counted = passes();
    const service = new BackgroundService({
      name: 'test',
      runOnce: async () => {
        if (counted.count === 0) bell.ring();
        return counted.run();
      },
      idleMinMs: 3_600_000,
      idleMaxMs: 3_600_000,
      bell,
    });
    service.start();
    await counted.reached(2);
    bell.ring();
    await counted.reached(3);
    await service.stop();
    expect(counted.count).toBe(3);
  });

  test('continues after a failure, and reports it', async () => {
    const counted = passes();
    const failures: unknown[] = [];
    const service = new BackgroundService({
      name: 'test',
      runOnce: async () => {
        await counted.run();
        if (counted.count < 3) throw new Error(`failure ${counted.count}`);
        return 'idle';
      },
      idleMaxMs: 1,
      failureMaxMs: 1,
      onFailure: (error) => failures.push(error),
    });
    service.start();
    await counted.reached(4);
    await service.stop();
    expect(failures.map(String)).toEqual(['Error: failure 1', 'Error: failure 2']);
    expect(service.lastPassAgeMs).toBeGreaterThanOrEqual(0);
  });

  test('reports a reason once, another one at once, and each again after 20 failures', async () => {
    const counted = passes();
    const lines: string[] = [];
    const note = (line: string): void => void lines.push(line);
    const service = new BackgroundService({
      name: 'test',
      runOnce: async () => {
        await counted.run();
        throw new Error(counted.count < 5 ? `no row ${counted.count}` : `no table ${counted.count}`);
      },
      idleMaxMs: 1,
      failureMaxMs: 1,
      logger: { debug: note, info: note, warn: note, error: note },
    });
    service.start();
    await counted.reached(41);
    await service.stop();
    expect(lines).toEqual(
      ['no row 1', 'no table 5', 'no table 20', 'no table 40'].map((what) => `test failed: Error: ${what}`),
    );
  });

  test('completes the current pass before stop resolves', async () => {
    let finish: () => void = () => undefined;
    let begun: () => void = () => undefined;
    const started = new Promise<void>((resolve) => (begun = resolve));
    let ended = false;
    const service = new BackgroundService({
      name: 'test',
      idleMaxMs: 1,
      runOnce: async () => {
        begun();
        await new Promise<void>((resolve) => (finish = resolve));
        ended = true;
        return 'idle';
      },
    });
    service.start();
    await started;
    const stopped = service.stop().then(() => ended);
    finish();
    expect(await stopped).toBe(true);
  });
});
