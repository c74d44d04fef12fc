import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { resolveRetryPolicy, retryDelayMs } from '../src/index.js';

describe('a retry policy', () => {
  test('has the documented defaults', () => {
    expect(resolveRetryPolicy()).toEqual({
      maxAttempts: 5,
      backoff: 'exponential',
      delayMs: 200,
      maxDelayMs: 10_000,
      jitterPercent: 20,
      onExhausted: 'dead-letter',
    });
  });

  test('waits twice as long each time, or always as long, up to the longest', () => {
    const delays = (backoff: 'fixed' | 'exponential') =>
      [1, 2, 3, 4, 50].map((attempt) =>
        retryDelayMs(resolveRetryPolicy({ backoff, delayMs: 100, maxDelayMs: 500 }), attempt, 0),
      );
    expect(delays('exponential')).toEqual([100, 200, 400, 500, 500]);
    expect(delays('fixed')).toEqual([100, 100, 100, 100, 100]);
  });

  test('leaves no more to chance than it says', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        fc.nat(100),
        (attempt, random, jitterPercent) => {
          const policy = resolveRetryPolicy({ jitterPercent });
          const whole = retryDelayMs(policy, attempt, 0);
          const delay = retryDelayMs(policy, attempt, random);
          expect(delay).toBeLessThanOrEqual(whole);
          expect(delay).toBeGreaterThanOrEqual(Math.floor(whole * (1 - jitterPercent / 100)));
        },
      ),
    );
  });
});
