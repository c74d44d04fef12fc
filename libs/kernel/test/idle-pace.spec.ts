import { expect, test } from '@jest/globals';
import { type Clock, IdlePace, systemClock } from '../src/index.js';

let now = 0;
let isAnnounced = true;
const clock: Clock = { ...systemClock, monotonic: () => now };
const paceOf = (quietMs: number): IdlePace =>
  new IdlePace({ busyMs: 100, quietMs, isAnnounced: () => isAnnounced, clock });

test('a loop rests longer after a minute without work, while work is announced', () => {
  isAnnounced = true;
  const pace = paceOf(1_000);
  expect(pace.restMs).toBe(100);
  now += 59_999;
  expect(pace.restMs).toBe(100);
  now += 1;
  expect(pace.restMs).toBe(1_000);
  isAnnounced = false;
  expect(pace.restMs).toBe(100);
  isAnnounced = true;
  expect([pace.worked(), pace.worked()]).toEqual([true, false]);
  expect(pace.restMs).toBe(100);
  now += 60_000;
  expect(pace.restMs).toBe(1_000);
});

test('a shorter rest when quiet than when busy counts for nothing', () => {
  isAnnounced = true;
  const pace = paceOf(50);
  now += 60_000;
  expect(pace.restMs).toBe(100);
});
