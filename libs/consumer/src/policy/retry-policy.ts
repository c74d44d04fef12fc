import {
  ConfigurationError,
  type Given,
  oneOf,
  type OptionSpec,
  type Resolved,
  resolveOptions,
  wholeNumber,
} from '@waybill/kernel';
import { backoffMs, describeThrown, isError } from '@waybill/kernel/internal';

const LONGEST_DELAY_MS = 7 * 86_400_000;

/** Retry waits of RocketMQ's consumers, in milliseconds: 16 levels from 10 seconds to 2 hours. */
export const ROCKETMQ_RETRY_DELAYS_MS: readonly number[] = [
  10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200,
].map((seconds) => seconds * 1_000);

const SPECS = {
  /** Number of attempts, including the first; 17 with `rocketmq`, the first one and one for each level. */
  maxAttempts: wholeNumber({ default: 10, min: 1, max: 1_000 }),
  /** No attempt starts later than this after the first failure, in milliseconds; 0: no limit. */
  maxAgeMs: wholeNumber({ default: 0, min: 0, max: 365 * 86_400_000 }),
  /** Attempts right after the first, without a wait; they count. */
  immediateAttempts: wholeNumber({ default: 1, min: 0, max: 100 }),
  /**
   * `fixed` waits `delayMs` each time; `exponential` doubles the wait each time, up to `maxDelayMs`; `list` uses
   * `delaysMs`, repeating its last value; `rocketmq` uses that broker's 16 levels; `custom` uses the result of `delay`.
   */
  backoff: oneOf(['fixed', 'exponential', 'list', 'rocketmq', 'custom'], 'exponential'),
  /** Wait before the first delayed attempt, in milliseconds. */
  delayMs: wholeNumber({ default: 200, min: 0, max: LONGEST_DELAY_MS }),
  /** Longest wait, in milliseconds. */
  maxDelayMs: wholeNumber({ default: 60_000, min: 0, max: LONGEST_DELAY_MS }),
  /** Waits in milliseconds, for `list`. */
  delaysMs: delays(),
  /** For `custom`: returns the wait in milliseconds after the failed attempt (counted from 1) with the thrown error. */
  delay: func<(attempt: number, error: unknown) => number>(),
  /** Random part of a wait, in percent, so that failures do not all return at once. */
  jitterPercent: wholeNumber({ default: 20, min: 0, max: 100 }),
  /**
   * What happens to a message without attempts left: it becomes a dead letter, or it is retried forever while its key
   * waits.
   */
  onExhausted: oneOf(['dead-letter', 'block'], 'dead-letter'),
};

/** An error class, or its name. */
export type ErrorMatch = string | (abstract new (...args: never[]) => unknown);

/** The rule for errors of one class: a separate policy, or a dead letter at once. */
export interface ErrorRuleOptions {
  readonly error: ErrorMatch;
  readonly retry: Given<typeof SPECS> | 'never';
}

/** Options of a retry policy. */
export type RetryPolicyOptions = Given<typeof SPECS> & {
  /** Policies for error classes; the first one that matches an error applies. */
  readonly byError?: readonly ErrorRuleOptions[] | undefined;
};

/** A retry policy without rules for error classes, with every option set. */
export type RetryRule = Resolved<typeof SPECS>;

/** A retry policy with every option set. */
export interface RetryPolicy extends RetryRule {
  readonly byError: readonly { readonly error: ErrorMatch; readonly retry: RetryRule | 'never' }[];
}

/** @throws ConfigurationError */
export function resolveRetryPolicy(options: RetryPolicyOptions = {}): RetryPolicy {
  const { byError, ...rest } = options;
  const rules = (byError ?? []).map(({ error, retry }, index) => {
    if (typeof error !== 'function' && (typeof error !== 'string' || error === '')) {
      throw new ConfigurationError('The retry policy is not usable', [
        `byError[${index}].error must be a class or its name, got ${typeof error}`,
      ]);
    }
    return {
      error,
      retry: retry === 'never' ? retry : resolveRule(`retry policy, byError[${index}],`, retry),
    };
  });
  return Object.freeze({ ...resolveRule('retry policy', rest), byError: rules });
}

/** The rule for an error: that of its class if the policy has one. */
export function retryRuleFor(policy: RetryPolicy, error: unknown): RetryRule | 'never' {
  return policy.byError.find((rule) => matches(rule.error, error))?.retry ?? policy;
}

/**
 * The wait before the next attempt, in milliseconds.
 *
 * @param attempt the failed attempt, from 1
 * @param random from 0 up to 1, for the jitter: the wait is at most `jitterPercent` shorter than the computed one
 * @param error the error of the attempt, for `custom`
 */
export function retryDelayMs(rule: RetryRule, attempt: number, random: number, error?: unknown): number {
  if (attempt <= rule.immediateAttempts) return 0;
  const computed = delayWithoutJitter(rule, attempt - rule.immediateAttempts, attempt, error);
  return Math.round(computed * (1 - (rule.jitterPercent / 100) * random));
}

/** @param delayed number of the delayed attempt, from 1 */
function delayWithoutJitter(rule: RetryRule, delayed: number, attempt: number, error: unknown): number {
  switch (rule.backoff) {
    case 'fixed':
      return rule.delayMs;
    case 'exponential':
      return backoffMs(delayed, rule.delayMs, rule.maxDelayMs);
    case 'list':
      return nth(rule.delaysMs, delayed);
    case 'rocketmq':
      return nth(ROCKETMQ_RETRY_DELAYS_MS, delayed);
    case 'custom': {
      // A wrong result of the policy must not cause a busy loop or an endless wait, and one that throws must not stop a
      // message.
      const wait = askDelay(rule, attempt, error);
      return typeof wait === 'number' && wait >= 0 ? Math.min(wait, LONGEST_DELAY_MS) : rule.maxDelayMs;
    }
  }
}

function askDelay({ delay }: RetryRule, attempt: number, error: unknown): unknown {
  try {
    const wait: unknown = delay?.(attempt, error);
    if (wait instanceof Promise) wait.catch(() => {});
    return wait;
  } catch {
    return undefined;
  }
}

function nth(list: readonly number[], index: number): number {
  return list[Math.min(index, list.length) - 1] ?? 0;
}

function resolveRule(subject: string, options: Given<typeof SPECS>): RetryRule {
  const given =
    options.backoff === 'rocketmq' && options.maxAttempts === undefined
      ? { ...options, maxAttempts: ROCKETMQ_RETRY_DELAYS_MS.length + 1 }
      : options;
  return resolveOptions(subject, SPECS, given, ({ backoff, delaysMs, delay }) => {
    if (backoff === 'list' && delaysMs.length === 0) return ['backoff list needs delaysMs'];
    if (backoff === 'custom' && delay === undefined) return ['backoff custom needs delay, a function'];
    return [];
  });
}

function matches(wanted: ErrorMatch, error: unknown): boolean {
  if (typeof wanted === 'function') return isInstance(error, wanted);
  // The name also matches classes of another realm.
  if (!isError(error)) return false;
  const { name, className } = describeThrown(error);
  return name === wanted || className === wanted;
}

/** A class may define `Symbol.hasInstance`, which may throw. */
function isInstance(error: unknown, wanted: abstract new (...args: never[]) => unknown): boolean {
  try {
    return error instanceof wanted;
  } catch {
    return false;
  }
}

function delays(): OptionSpec<readonly number[]> {
  return {
    default: [],
    check: (value) =>
      Array.isArray(value) &&
      value.length <= 1_000 &&
      value.every((wait) => Number.isSafeInteger(wait) && wait >= 0 && wait <= LONGEST_DELAY_MS)
        ? undefined
        : `must be an array of whole numbers from 0 to ${LONGEST_DELAY_MS}`,
  };
}

function func<T>(): OptionSpec<T | undefined> {
  return {
    default: undefined,
    check: (value) => (value === undefined || typeof value === 'function' ? undefined : 'must be a function'),
  };
}
