import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';

const LONGEST_DELAY_MS = 365 * 86_400_000;

/**
 * What a handler decided about its message, other than "done". It is returned or thrown by the handler, and is not an
 * error. What the handler wrote through its transaction is rolled back.
 */
export class HandlerVerdict {
  private constructor(
    readonly kind: 'retry' | 'dead-letter' | 'drop',
    /** The wait of `retry`, in milliseconds. */
    readonly delayMs: number,
    /** Why, of `dead-letter` and `drop`. */
    readonly reason: string,
  ) {}

  /** @internal */
  static of(kind: HandlerVerdict['kind'], delayMs: number, reason: string): HandlerVerdict {
    return new HandlerVerdict(kind, delayMs, reason);
  }
}

/**
 * The message is to be handed over again after `delayMs` milliseconds (0 to a year): something it needs is not there
 * yet. This is no failure: it is not counted as an attempt, and only `maxAgeMs` of the policy ends it.
 * @throws ConfigurationError when the delay is no such number
 */
export function retryIn(delayMs: number): HandlerVerdict {
  if (!Number.isFinite(delayMs) || delayMs < 0 || delayMs > LONGEST_DELAY_MS) {
    throw new ConfigurationError('retryIn() cannot be answered with', [
      `delayMs must be a number from 0 to ${LONGEST_DELAY_MS}, got ${show(delayMs)}`,
    ]);
  }
  return HandlerVerdict.of('retry', Math.ceil(delayMs), '');
}

/** The message becomes a dead letter at once, whatever attempts are left. */
export function deadLetter(reason: string): HandlerVerdict {
  return HandlerVerdict.of('dead-letter', 0, reason);
}

/** The message is done with; only a count and a line in the log say so. */
export function drop(reason: string): HandlerVerdict {
  return HandlerVerdict.of('drop', 0, reason);
}
