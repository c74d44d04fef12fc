import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Redrives } from '@waybill/dead-letter';
import { type ScriptProcess, spawnScript, waitUntil } from '@waybill/testing';
import { Fixture, upTo } from '../support/fixture.js';
import { startProgram, stopProgram } from '../support/programs.js';

const COMMAND = fileURLToPath(new URL('../../libs/cli/dist/main.js', import.meta.url));
/** Dead letters of the redrive that is killed halfway. */
const LETTERS = 10_000;

let fixture: Fixture;
let running: ScriptProcess[];
beforeEach(async () => {
  running = [];
  fixture = await Fixture.create({ orders: { partitions: 2 } });
});
afterEach(async () => {
  for (const script of running) script.kill('SIGKILL');
  await Promise.all(running.map(({ exited }) => exited));
  await fixture.close();
});

const start = async (
  retry: Readonly<Record<string, unknown>> = {},
  concurrency: 'key' | 'partition' = 'key',
): Promise<ScriptProcess> => {
  const consumer = await startProgram('consumer', {
    url: fixture.url,
    subscription: { concurrency, retry: { immediateAttempts: 0, delayMs: 20, maxDelayMs: 200, ...retry } },
    options: { leaseMs: 2_500, heartbeatMs: 200 },
  });
  running.push(consumer);
  return consumer;
};

const publish = async (
  count: number,
  extra: (n: number) => Readonly<Record<string, unknown>>,
  keys = count,
): Promise<void> => {
  await fixture.transaction((client) =>
    fixture.outbox.publishMany(
      client,
      upTo(count).map((n) => ({ topic: 'orders', key: `key-${n % keys}`, payload: { n, ...extra(n) } })),
    ),
  );
  await fixture.moveAll();
};

const effects = async (): Promise<{ n: number; key: string }[]> =>
  (await fixture.database.pool.query<{ n: number; key: string }>('select n, key from effect order by id'))
    .rows;
const count = (): Promise<number> => fixture.value('select count(*)::int from effect');
const charges = (): Promise<number> => fixture.value('select count(*)::int from waybill.crash_charge');
const parked = (): Promise<number> => fixture.value('select count(*)::int from waybill.parked_message');

const expectEachOnceInOrder = async (expected: readonly number[]): Promise<void> => {
  const rows = await effects();
  expect(rows.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(expected);
  for (const key of new Set(rows.map((row) => row.key))) {
    const numbers = rows.filter((row) => row.key === key).map(({ n }) => n);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  }
};

describe('messages that wait for a retry', () => {
  test('become dead letters after 3 crashes alone, if they take their process down at a later attempt', async () => {
    const poison = 5;
    await publish(20, (n) => (n === poison ? { fail: 1, killFrom: 2 } : {}));
    let crashes = 0;
    for (;;) {
      const consumer = await start();
      const dead = waitUntil(async () => (await fixture.deadLetters.count()) > 0, {
        describe: 'it is a dead letter',
        timeoutMs: 40_000,
      });
      const ended = await Promise.race([consumer.exited.then(() => 'crashed'), dead.then(() => 'dead')]);
      if (ended === 'dead') break;
      dead.catch(() => {});
      crashes += 1;
      expect(crashes).toBeLessThanOrEqual(4);
    }
    await waitUntil(async () => (await count()) === 19, { describe: 'the messages around it are done' });
    // One that failed, and three that ended with the process.
    expect(await fixture.deadLetters.list()).toMatchObject([
      { reason: 'process-crashed', key: `key-${poison}`, state: 'open', attempts: 4 },
    ]);
    await expectEachOnceInOrder(upTo(20).filter((n) => n !== poison));
  });

  test('are charged with no crash while they wait in place: their attempt has ended', async () => {
    await publish(1, () => ({ fail: 1_000 }));
    for (let kills = 0; kills < 5; kills += 1) {
      const consumer = await start({ maxAttempts: 1_000, delayMs: 60_000, maxDelayMs: 60_000 }, 'partition');
      await waitUntil(() => consumer.output.includes('attempt 1 of'), { describe: 'an attempt has failed' });
      await waitUntil(async () => (await charges()) === 0, { describe: 'it is charged with nothing' });
      consumer.kill('SIGKILL');
      await consumer.exited;
    }
    expect(await fixture.deadLetters.list()).toEqual([]);
  });
});

describe('dead letters', () => {
  test('are redriven once each, even if the redrive and a consumer are killed halfway', async () => {
    await fixture.database.pool.query('create table cured (n int primary key)');
    await publish(LETTERS, () => ({ untilCured: true }), 500);
    const consumer = await start({ maxAttempts: 1 });
    await waitUntil(async () => (await fixture.deadLetters.count({ states: ['open'] })) === LETTERS, {
      describe: 'all are dead letters',
      timeoutMs: 120_000,
    });
    await fixture.database.pool.query('insert into cured select generate_series(0, $1 - 1)', [LETTERS]);
    const redrive = (...args: string[]): ScriptProcess => {
      const env = { DATABASE_URL: fixture.url };
      const script = spawnScript(COMMAND, {
        args: ['dlq', 'redrive', '--yes', '--by', 'test', ...args],
        env,
      });
      running.push(script);
      return script;
    };
    const first = redrive('--all', '--rate', '1500');
    const redriven = (): Promise<number> =>
      fixture.value('select coalesce(max(redriven), 0)::int from waybill.redrive');
    await waitUntil(async () => (await redriven()) >= LETTERS / 3 && (await count()) > 0, {
      describe: 'it is running',
      timeoutMs: 60_000,
      intervalMs: 5,
    });
    first.kill('SIGKILL');
    consumer.kill('SIGKILL');
    await Promise.all([first.exited, consumer.exited]);
    const [state] = await new Redrives(fixture.database).list();
    expect(state).toMatchObject({ state: 'running', total: LETTERS });
    await start({ maxAttempts: 1 });
    const second = redrive('--resume', String(state?.id));
    expect(await second.exited).toEqual({ code: 0, signal: null });
    await waitUntil(async () => (await fixture.deadLetters.count({ states: ['redriven'] })) === LETTERS, {
      describe: 'all are redriven',
      timeoutMs: 120_000,
    });
    await expectEachOnceInOrder(upTo(LETTERS));
    expect(await parked()).toBe(0);
  });

  test('are not delivered again when their group loses its position', async () => {
    await publish(30, (n) => (n % 3 === 0 ? { fail: 1_000 } : {}), 5);
    const consumer = await start({ maxAttempts: 2 });
    await waitUntil(async () => (await fixture.deadLetters.count()) === 10, {
      describe: 'ten are dead letters',
    });
    await waitUntil(async () => (await count()) === 20, { describe: 'the others are done' });
    await stopProgram(consumer);
    await fixture.database.pool.query('truncate waybill.consumer_position');
    const again = await start({ maxAttempts: 2 });
    await publish(31, () => ({}), 5);
    // Of those that were done, the position was the only verdict, unless they had waited for others: they come again.
    const timesOf = async (n: number): Promise<number> =>
      (await effects()).filter((effect) => effect.n === n).length;
    for (const n of upTo(31)) {
      await waitUntil(async () => (await timesOf(n)) >= (n % 3 === 0 ? 1 : 2), {
        describe: `the new message ${n} is done`,
      });
    }
    await stopProgram(again);
    const letters = await fixture.deadLetters.list();
    expect(letters.map(({ attempts }) => attempts)).toEqual(Array.from({ length: 10 }, () => 2));
    for (const n of upTo(30)) {
      if (n % 3 === 0) expect(await timesOf(n)).toBe(1);
      else expect(await timesOf(n)).toBeLessThanOrEqual(3);
    }
  });
});
