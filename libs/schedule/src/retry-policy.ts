import { type Given, oneOf, type Resolved, resolveOptions, wholeNumber } from '@waybill/kernel';

const SPECS = {
  /** Attempts in all, the first included. */
  maxAttempts: wholeNumber({ default: 5, min: 1, max: 1_000 }),
  /** `fixed` waits `delayMs` each time, `exponential` twice as long each time, up to `maxDelayMs`. */
  backoff: oneOf(['fixed', 'exponential'], 'exponential'),
  /** Wait before the second attempt, in milliseconds. */
  delayMs: wholeNumber({ default: 200, min: 0, max: 86_400_000 }),
  /** Longest wait, in milliseconds. */
  maxDelayMs: wholeNumber({ default: 10_000, min: 0, max: 86_400_000 }),
  /** Part of a wait that is left to chance, in percent, so that failures do not come back all at once. */
  jitterPercent: wholeNumber({ default: 20, min: 0, max: 100 }),
  /** What becomes of a message whose attempts are spent: a dead letter, or it blocks those behind it for ever. */
  onExhausted: oneOf(['dead-letter', 'block'], 'dead-letter'),
};

/** Options of a retry policy. */
export type RetryPolicyOptions = Given<typeof SPECS>;

/** A retry policy, every option present. */
export type RetryPolicy = Resolved<typeof SPECS>;

/** @throws ConfigurationError */
export function resolveRetryPolicy(options: RetryPolicyOptions = {}): RetryPolicy {
  return resolveOptions('retry policy', SPECS, options);
}

/**
 * How long to wait before the next attempt, in milliseconds.
 *
 * @param attempt the attempt that has failed, from 1
 * @param random from 0 up to 1, for the jitter: the wait lies within `jitterPercent` below the computed one
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: number): number {
  const factor = policy.backoff === 'fixed' ? 1 : 2 ** Math.min(attempt - 1, 40);
  const computed = Math.min(policy.delayMs * factor, policy.maxDelayMs);
  return Math.round(computed * (1 - (policy.jitterPercent / 100) * random));
}
