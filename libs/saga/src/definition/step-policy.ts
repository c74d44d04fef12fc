import { resolveOptions, wholeNumber } from '@waybill/kernel';
import { backoffMs } from '@waybill/kernel/internal';
import type { FinalError, StepPolicy } from './saga-definition.js';

const DAY_MS = 86_400_000;

/** Options of a step's attempts. */
export interface StepPolicyOptions {
  /**
   * Time limit of an attempt, in milliseconds. After it a command may or may not be done, and a local action has failed.
   * Default 60,000; a local action has less, the time limit of its transition.
   */
  readonly timeoutMs?: number;
  /** Total attempts. Default 3 before the pivot, 20 after it and for compensations. */
  readonly maxAttempts?: number;
  /** Wait after the first failed attempt, in milliseconds; it doubles. Default 1,000. */
  readonly delayMs?: number;
  /** Longest wait, in milliseconds. Default 60,000. */
  readonly maxDelayMs?: number;
  /** Errors that must not be retried: classes, names or codes. The step is given up at once. Default none. */
  readonly nonRetryable?: readonly FinalError[];
}

/** Default attempts of a step that may be given up, and of one that must succeed. */
const ATTEMPTS = { optional: 3, necessary: 20 } as const;

/**
 * @param necessary whether the saga is stuck when it is given up
 * @throws ConfigurationError
 */
export function resolveStepPolicy(
  subject: string,
  { nonRetryable = [], ...options }: StepPolicyOptions = {},
  necessary: boolean,
): StepPolicy {
  const isKind = (kind: unknown): boolean => typeof kind === 'string' || typeof kind === 'function';
  const isList = Array.isArray(nonRetryable) && nonRetryable.every(isKind);
  const resolved = resolveOptions(
    subject,
    {
      timeoutMs: wholeNumber({ default: 60_000, min: 10, max: 30 * DAY_MS }),
      maxAttempts: wholeNumber({
        default: necessary ? ATTEMPTS.necessary : ATTEMPTS.optional,
        min: 1,
        max: 1_000_000,
      }),
      delayMs: wholeNumber({ default: 1_000, min: 1, max: DAY_MS }),
      maxDelayMs: wholeNumber({ default: 60_000, min: 1, max: DAY_MS }),
    },
    options,
    () => (isList ? [] : ['nonRetryable must be an array of error classes, names and codes']),
  );
  return { ...resolved, nonRetryable };
}

/** The wait before the attempt that follows a failed one, in milliseconds. */
export function delayAfter({ delayMs, maxDelayMs }: StepPolicy, attempt: number): number {
  return backoffMs(attempt, delayMs, maxDelayMs);
}

/** Whether an error text names an error that must not be retried. */
export function isFinal({ nonRetryable }: StepPolicy, error = ''): boolean {
  const words = error.split(/[^\w$]+/);
  return nonRetryable.some((kind) => words.includes(typeof kind === 'string' ? kind : kind.name));
}
