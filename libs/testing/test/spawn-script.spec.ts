import { afterEach, expect, test } from '@jest/globals';
import { spawnScript, waitUntil, type ScriptProcess, type SpawnScriptOptions } from '../src/index.js';
import { fixture } from './support/processes.js';

const scripts: ScriptProcess[] = [];

function run(options: SpawnScriptOptions): ScriptProcess {
  const script = spawnScript(fixture('print-and-wait.mjs'), options);
  scripts.push(script);
  return script;
}

afterEach(async () => {
  scripts.forEach((script) => script.kill());
  await Promise.all(scripts.splice(0).map(({ exited }) => exited));
});

test('arguments and environment arrive, and lines are found whether printed before or after the wait began', async () => {
  const script = run({ args: ['first line', 'order 42'], env: { GREETING: 'hello' } });
  const [, number] = await script.waitForLine(/^order (\d+)$/);
  expect(number).toBe('42');
  await script.waitForLine(/^first line$/g);
  await script.waitForLine(/^greeting hello$/);
  const from = script.lineCount;
  const [, tick] = await script.waitForLine(/^tick (\d+)$/, { from });
  expect(script.lines.indexOf(`tick ${tick}`)).toBeGreaterThanOrEqual(from);
});

test('a script that ends without the line fails the wait, with its output', async () => {
  const script = run({ env: { EXIT_CODE: '3', GREETING: undefined } });
  await expect(script.waitForLine(/never printed/)).rejects.toMatchObject({
    code: 'SCRIPT_FAILED',
    message: expect.stringMatching(
      /ended with 3 without a line[\s\S]*out\| greeting none[\s\S]*err\| a complaint|err\| a complaint/,
    ),
  });
  expect(await script.exited).toEqual({ code: 3, signal: null });
  await expect(script.waitForLine(/never printed/)).rejects.toMatchObject({ code: 'SCRIPT_FAILED' });
  await script.waitForLine(/greeting/);
});

test('a wait for a line ends by its time limit', async () => {
  const script = run({});
  await expect(script.waitForLine(/never printed/, { timeoutMs: 50 })).rejects.toMatchObject({
    code: 'WAIT_TIMED_OUT',
  });
});

test('a stopped script is suspended until it is resumed', async () => {
  const script = run({});
  await script.waitForLine(/tick/);
  script.stop();
  // Its output has stopped when several checks in a row see no more of it.
  let seen = -1;
  let same = 0;
  const atRest = (): boolean => {
    same = script.lineCount === seen ? same + 1 : 0;
    seen = script.lineCount;
    return same === 10;
  };
  await waitUntil(atRest, { describe: 'no more lines of a stopped script' });
  script.cont();
  await script.waitForLine(/tick/, { from: seen });
});

test('a killed script reports the signal', async () => {
  const script = run({});
  await script.waitForLine(/tick/);
  script.kill('SIGTERM');
  expect(await script.exited).toEqual({ code: null, signal: 'SIGTERM' });
});

test('a working directory that does not exist is reported', () => {
  expect(() => run({ cwd: fixture('nowhere') })).toThrow(/could not be started/);
});
