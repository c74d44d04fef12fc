import { beforeEach, expect, test } from '@jest/globals';
import { waitUntil } from '../src/index.js';
import { withPatience } from '../src/patience.js';

beforeEach(() => {
  process.env['WAYBILL_PATIENCE'] = '1';
});

test('returns as soon as the claim holds, and takes a throw for not yet', async () => {
  let looks = 0;
  await waitUntil(
    () => {
      looks += 1;
      if (looks < 3) throw new Error('not yet');
      return looks === 4;
    },
    { describe: 'the fourth check', intervalMs: 1 },
  );
  expect(looks).toBe(4);
});

test('the error names what was waited for and how the last check failed', async () => {
  const cause = new Error('relation "x" does not exist');
  const failing = waitUntil(() => Promise.reject(cause), {
    describe: 'table x',
    timeoutMs: 30,
    intervalMs: 5,
  });
  await expect(failing).rejects.toMatchObject({
    code: 'WAIT_TIMED_OUT',
    message: expect.stringMatching(
      /30 ms without result for: table x\. The last check failed: relation "x" does not exist\./,
    ),
    cause,
  });
});

test('the error can report the last state, and forgets an error that a later result followed', async () => {
  let seen = 0;
  const claim = (): boolean => {
    seen += 1;
    if (seen === 1) throw new Error('only at first');
    return false;
  };
  const failing = waitUntil(claim, {
    describe: () => `99 messages, seen ${seen}`,
    // Time for a second look, however busy the machine is.
    timeoutMs: 2_000,
    intervalMs: 1,
  });
  const error: unknown = await failing.catch((failure: unknown) => failure);
  expect(String(error)).toMatch(/99 messages, seen \d+\. Find out/);
});

test('a claim that never resolves does not outlast the wait', async () => {
  const failing = waitUntil(() => new Promise<boolean>(() => undefined), {
    describe: 'a result',
    timeoutMs: 20,
  });
  await expect(failing).rejects.toMatchObject({ code: 'WAIT_TIMED_OUT' });
});

test('an aborted wait ends with the reason of its signal', async () => {
  const abort = new AbortController();
  const waiting = waitUntil(() => false, { describe: 'the impossible', signal: abort.signal });
  const hanging = waitUntil(() => new Promise<boolean>(() => undefined), {
    describe: 'a result',
    signal: abort.signal,
  });
  const reason = new Error('enough');
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(hanging).rejects.toBe(reason);
});

test('a patient machine waits as many times longer as it was told', async () => {
  process.env['WAYBILL_PATIENCE'] = '3';
  const failing = waitUntil(() => false, { describe: 'the impossible', timeoutMs: 10, intervalMs: 1 });
  await expect(failing).rejects.toThrow('Waited 30 ms');
});

test('patience makes no wait longer than five minutes, and none shorter', () => {
  process.env['WAYBILL_PATIENCE'] = '10';
  expect([1_000, 60_000, 400_000].map(withPatience)).toEqual([10_000, 300_000, 400_000]);
});

test.each(['0', '-1', '101', 'much', ''])('a patience of %j is refused', async (patience) => {
  process.env['WAYBILL_PATIENCE'] = patience;
  const failing = waitUntil(() => true, { describe: 'the possible' });
  await expect(failing).rejects.toMatchObject({
    code: 'PATIENCE_INVALID',
    message: expect.stringContaining('Set it to a number from 1 to 100'),
  });
});
