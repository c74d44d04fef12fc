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

/** Waits of a retry, in milliseconds, as RocketMQ's consumers make them: its 16 levels from 10 seconds to 2 hours. */
export const ROCKETMQ_RETRY_DELAYS_MS: readonly number[] = [
  10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200,
].map((seconds) => seconds * 1_000);

const SPECS = {
  /** Attempts in all, the first included; 17 with `rocketmq`, a first one and one for each level. */
  maxAttempts: wholeNumber({ default: 10, min: 1, max: 1_000 }),
  /** No attempt begins later than this after the first failure, in milliseconds; 0 sets no such limit. */
  maxAgeMs: wholeNumber({ default: 0, min: 0, max: 365 * 86_400_000 }),
  /** Attempts that follow the first at once, before there is any wait; they count. */
  immediateAttempts: wholeNumber({ default: 1, min: 0, max: 100 }),
  /**
   * `fixed` waits `delayMs` each time; `exponential` twice as long each time, up to `maxDelayMs`; `list` what
   * `delaysMs` says, its last for ever; `rocketmq` that broker's 16 levels; `custom` what `delay` returns.
   */
  backoff: oneOf(['fixed', 'exponential', 'list', 'rocketmq', 'custom'], 'exponential'),
  /** Wait before the first delayed attempt, in milliseconds. */
  delayMs: wholeNumber({ default: 200, min: 0, max: LONGEST_DELAY_MS }),
  /** Longest wait, in milliseconds. */
  maxDelayMs: wholeNumber({ default: 60_000, min: 0, max: LONGEST_DELAY_MS }),
  /** Waits in milliseconds, for `list`. */
  delaysMs: delays(),
  /** For `custom`: the wait in milliseconds after the attempt that failed (counted from 1), and what it threw. */
  delay: func<(attempt: number, error: unknown) => number>(),
  /** Part of a wait that is left to chance, in percent, so that failures do not come back all at once. */
  jitterPercent: wholeNumber({ default: 20, min: 0, max: 100 }),
  /** What becomes of a message whose attempts are spent: a dead letter, or it is tried for ever and its key waits. */
  onExhausted: oneOf(['dead-letter', 'block'], 'dead-letter'),
};

/** A class of errors, or the name of one. */
export type ErrorMatch = string | (abstract new (...args: never[]) => unknown);

/** What is done about errors of one class: a policy of their own, or a dead letter at once. */
export interface ErrorRuleOptions {
  readonly error: ErrorMatch;
  readonly retry: Given<typeof SPECS> | 'never';
}

/** Options of a retry policy. */
export type RetryPolicyOptions = Given<typeof SPECS> & {
  /** Policies of single error classes; the first that fits an error holds for it. */
  readonly byError?: readonly ErrorRuleOptions[] | undefined;
};

/** A retry policy without rules for error classes, every option present. */
export type RetryRule = Resolved<typeof SPECS>;

/** A retry policy, every option present. */
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

/** The rule that holds for an error: that of its class when the policy has one. */
export function retryRuleFor(policy: RetryPolicy, error: unknown): RetryRule | 'never' {
  return policy.byError.find((rule) => matches(rule.error, error))?.retry ?? policy;
}

/**
 * How long to wait before the next attempt, in milliseconds.
 *
 * @param attempt the attempt that has failed, from 1
 * @param random from 0 up to 1, for the jitter: the wait lies within `jitterPercent` below the computed one
 * @param error what the attempt failed with, for `custom`
 */
export function retryDelayMs(rule: RetryRule, attempt: number, random: number, error?: unknown): number {
  if (attempt <= rule.immediateAttempts) return 0;
  const computed = delayWithoutJitter(rule, attempt - rule.immediateAttempts, attempt, error);
  return Math.round(computed * (1 - (rule.jitterPercent / 100) * random));
}

/** @param delayed which of the delayed attempts it is, from 1 */
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
      // A policy that miscounts must neither spin nor sleep for ever, and one that throws stops no message.
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
  // By name also those of another realm.
  if (!isError(error)) return false;
  const { name, className } = describeThrown(error);
  return name === wanted || className === wanted;
}

/** A class may say itself, by `Symbol.hasInstance`, what is one of it, and may throw there. */
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
        : `must be a list of whole numbers from 0 to ${LONGEST_DELAY_MS}`,
  };
}

function func<T>(): OptionSpec<T | undefined> {
  return {
    default: undefined,
    check: (value) => (value === undefined || typeof value === 'function' ? undefined : 'must be a function'),
  };
}
