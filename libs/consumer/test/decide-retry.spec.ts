import { describe, expect, test } from '@jest/globals';
import {
  NonRetryableError,
  PayloadInvalidError,
  PayloadVersionUnknownError,
  PayloadVersionUnsupportedError,
  RetryableError,
} from '@waybill/kernel';
import { resolveRetryPolicy } from '@waybill/consumer/internal';
import { decideRetry } from '../src/retry/decide-retry.js';
import { deadLetter, drop, retryIn } from '../src/index.js';

const policy = resolveRetryPolicy({
  maxAttempts: 4,
  maxAgeMs: 10_000,
  immediateAttempts: 1,
  delayMs: 500,
  jitterPercent: 0,
  byError: [
    { error: TypeError, retry: 'never' },
    { error: 'GatewayError', retry: { maxAttempts: 100, backoff: 'fixed', delayMs: 7 } },
  ],
});
const decideOn = (error: unknown, attempts = 1, failingForMs = 0) =>
  decideRetry(policy, { error, attempts, failingForMs }, 0);

class GatewayError extends Error {
  override readonly name = 'GatewayError';
}

describe('what follows a failed attempt', () => {
  test('follows the policy: at once first, then with its waits, then a dead letter', () => {
    const error = new Error('x');
    expect(decideOn(error, 1)).toEqual({ kind: 'retry', delayMs: 0, counts: true });
    expect(decideOn(error, 2)).toEqual({ kind: 'retry', delayMs: 500, counts: true });
    expect(decideOn(error, 3)).toEqual({ kind: 'retry', delayMs: 1_000, counts: true });
    expect(decideOn(error, 4)).toEqual({ kind: 'dead-letter', reason: 'attempts-spent', error });
    expect(decideOn(error, 3, 9_001)).toEqual({ kind: 'dead-letter', reason: 'too-old', error });
  });

  test('follows the rule of the error class, by class or by name', () => {
    expect(decideOn(new TypeError('x'))).toMatchObject({ kind: 'dead-letter', reason: 'not-retryable' });
    expect(decideOn(new GatewayError('x'), 50)).toEqual({ kind: 'retry', delayMs: 7, counts: true });
  });

  test('follows what the error declares', () => {
    expect(decideOn(new NonRetryableError('no'))).toMatchObject({ reason: 'not-retryable' });
    expect(decideOn(new RetryableError('later', { delayMs: 42 }), 2)).toMatchObject({ delayMs: 42 });
    expect(decideOn({ getStatus: () => 422 })).toMatchObject({ reason: 'not-retryable' });
    expect(decideOn({ getStatus: () => 429 })).toMatchObject({ kind: 'retry' });
    expect(decideOn({ getStatus: () => 503 })).toMatchObject({ kind: 'retry' });
  });

  test('depends on the schema of the handled payload, not of what a handler publishes', () => {
    const unfit = (when: 'publishing' | 'handling') => decideOn(new PayloadInvalidError('m', 1, { when }));
    expect(unfit('handling')).toMatchObject({ kind: 'dead-letter', reason: 'payload-invalid' });
    expect(unfit('publishing')).toMatchObject({ kind: 'retry', counts: true });
    expect(decideOn(new PayloadVersionUnsupportedError('m', '1', 2, 3))).toMatchObject({
      reason: 'payload-invalid',
    });
  });

  test('waits longer and longer, without an attempt, for a message of a newer version until it is too old', () => {
    const waits = (failingForMs: number) =>
      decideRetry(
        { ...policy, maxAgeMs: 100_000 },
        { error: new PayloadVersionUnknownError('m', 3, 2), attempts: 99, failingForMs },
        0,
      );
    expect([0, 1_000, 7_000.5, 39_000].map(waits)).toEqual(
      [1_000, 1_000, 7_001, 39_000].map((delayMs) => ({ kind: 'retry', delayMs, counts: false })),
    );
    expect(waits(40_001)).toMatchObject({ kind: 'retry', delayMs: 40_001 });
    expect(waits(60_001)).toMatchObject({ kind: 'dead-letter', reason: 'too-old' });
  });

  test('follows the verdict of the handler', () => {
    expect(decideOn(retryIn(5_000), 0)).toEqual({ kind: 'retry', delayMs: 5_000, counts: false });
    expect(decideOn(retryIn(5_000), 0, 9_000)).toMatchObject({ kind: 'dead-letter', reason: 'too-old' });
    expect(decideOn(deadLetter('no such order'))).toMatchObject({
      reason: 'by-handler',
      error: { message: 'no such order' },
    });
    expect(decideOn(drop('seen'))).toEqual({ kind: 'drop', reason: 'seen' });
    expect(() => retryIn(Number.NaN)).toThrow('delayMs must be a number');
  });
});
