import { getEventListeners, getMaxListeners } from 'node:events';
import { expect, test } from '@jest/globals';
import { systemClock } from '@waybill/kernel';
import { Permits } from '../src/delivery/permits.js';
import { RepeatedWork } from '../src/delivery/repeated-work.js';

const KEYS = 30;

test('many keys of a lane pause at the same time, which Node does not take for a leak, and all end when it closes', async () => {
  const closing = new AbortController();
  const { signal } = closing;
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const repeated = new RepeatedWork({ clock: systemClock, logger, fields: {}, closing: signal });
  const permits = new Permits(KEYS, () => {});
  const pauses = Array.from({ length: KEYS }, async () => {
    const permit = await permits.acquire();
    await repeated.pause(600_000, permit);
  });
  await new Promise(setImmediate);
  expect(getEventListeners(signal, 'abort')).toHaveLength(KEYS);
  // The warning itself goes to the process outside Jest's.
  expect(getMaxListeners(signal)).toBeGreaterThanOrEqual(KEYS);
  closing.abort();
  const ends = await Promise.allSettled(pauses);
  expect(ends.map(({ status }) => status)).toEqual(Array.from({ length: KEYS }, () => 'rejected'));
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});
