import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { resolveRetryPolicy, retryDelayMs, type RetryPolicyOptions } from '../src/policy/retry-policy.js';

describe('a retry policy', () => {
  test('has the documented defaults', () => {
    expect(resolveRetryPolicy()).toEqual({
      maxAttempts: 10,
      maxAgeMs: 0,
      immediateAttempts: 1,
      backoff: 'exponential',
      delayMs: 200,
      maxDelayMs: 60_000,
      delaysMs: [],
      delay: undefined,
      jitterPercent: 20,
      onExhausted: 'dead-letter',
      byError: [],
    });
  });

  const delays = (options: RetryPolicyOptions) =>
    [1, 2, 3, 4, 50].map((attempt) =>
      retryDelayMs(resolveRetryPolicy({ immediateAttempts: 0, jitterPercent: 0, ...options }), attempt, 0),
    );

  test('doubles its wait each time, or keeps it, up to the longest, or follows its list', () => {
    const limits = { delayMs: 100, maxDelayMs: 500 };
    expect(delays({ backoff: 'exponential', ...limits })).toEqual([100, 200, 400, 500, 500]);
    expect(delays({ backoff: 'fixed', ...limits })).toEqual([100, 100, 100, 100, 100]);
    expect(delays({ backoff: 'list', delaysMs: [5, 60, 7] })).toEqual([5, 60, 7, 7, 7]);
    expect(delays({ backoff: 'custom', delay: (attempt) => attempt * 3 })).toEqual([3, 6, 9, 12, 150]);
  });

  test('makes its first attempts at once, before any wait', () => {
    expect(delays({ immediateAttempts: 2, delayMs: 100 })).toEqual([0, 0, 100, 200, 60_000]);
  });

  test("waits by RocketMQ's levels, sixteen of them after the first attempt", () => {
    const policy = resolveRetryPolicy({ backoff: 'rocketmq', immediateAttempts: 0, jitterPercent: 0 });
    expect(policy.maxAttempts).toBe(17);
    const waits = Array.from({ length: 16 }, (_, index) => retryDelayMs(policy, index + 1, 0) / 1_000);
    expect(waits).toEqual([
      10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200,
    ]);
  });

  test('falls back to its longest wait if a custom function returns nonsense', () => {
    for (const wrong of [Number.NaN, -1, 'soon' as unknown as number])
      expect(delays({ backoff: 'custom', delay: () => wrong })[0]).toBe(60_000);
  });

  test('is refused if it is invalid', () => {
    expect(() => resolveRetryPolicy({ backoff: 'list' })).toThrow('backoff list needs delaysMs');
    expect(() => resolveRetryPolicy({ backoff: 'custom' })).toThrow('backoff custom needs delay');
    expect(() => resolveRetryPolicy({ delaysMs: [1.5] })).toThrow('delaysMs must be an array');
    expect(() => resolveRetryPolicy({ byError: [{ error: '', retry: 'never' }] })).toThrow(
      'byError[0].error',
    );
    expect(() => resolveRetryPolicy({ byError: [{ error: Error, retry: { maxAttempts: 0 } }] })).toThrow(
      'byError[0]',
    );
  });

  test('varies waits by no more than its jitter', () => {
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
