import { resolveOptions, wholeNumber } from '@waybill/kernel';
import type { StepPolicy } from './saga-definition.js';

const DAY_MS = 86_400_000;

/** Options of a step's attempts. */
export interface StepPolicyOptions {
  /** How long an attempt may take until it counts as maybe done, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number;
  /** Attempts in all. Default 3 before the pivot, 20 behind it and for compensations. */
  readonly maxAttempts?: number;
  /** Wait after the first attempt that failed, in milliseconds; it doubles. Default 1,000. */
  readonly delayMs?: number;
  /** Longest wait, in milliseconds. Default 60,000. */
  readonly maxDelayMs?: number;
}

/** Attempts of what may still be given up, and of what must succeed. */
const ATTEMPTS = { optional: 3, necessary: 20 } as const;

/**
 * @param necessary whether giving it up means that the saga is stuck
 * @throws ConfigurationError
 */
export function resolveStepPolicy(
  subject: string,
  options: StepPolicyOptions | undefined,
  necessary: boolean,
): StepPolicy {
  return resolveOptions(
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
  );
}

/** The wait before the attempt that follows a failed one, in milliseconds. */
export function delayAfter({ delayMs, maxDelayMs }: StepPolicy, attempt: number): number {
  return Math.min(maxDelayMs, delayMs * 2 ** Math.min(attempt - 1, 30));
}
