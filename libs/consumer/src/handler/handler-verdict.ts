import { ConfigurationError } from '@waybill/kernel';
import { show } from '@waybill/kernel/internal';

const LONGEST_DELAY_MS = 365 * 86_400_000;

/**
 * A handler's decision about its message, other than "done". The handler returns or throws it; it is not an error. What
 * the handler wrote through its transaction is rolled back.
 */
export class HandlerVerdict {
  private constructor(
    readonly kind: 'retry' | 'dead-letter' | 'drop',
    /** The wait of `retry`, in milliseconds. */
    readonly delayMs: number,
    /** The reason of `dead-letter` and `drop`. */
    readonly reason: string,
  ) {}

  /** @internal */
  static of(kind: HandlerVerdict['kind'], delayMs: number, reason: string): HandlerVerdict {
    return new HandlerVerdict(kind, delayMs, reason);
  }
}

/**
 * The message is to be delivered again after `delayMs` milliseconds (0 to a year), because something it needs does not
 * exist yet. This is not a failure: it does not count as an attempt, and only `maxAgeMs` of the policy ends it.
 * @throws ConfigurationError if the delay is not such a number
 */
export function retryIn(delayMs: number): HandlerVerdict {
  if (!Number.isFinite(delayMs) || delayMs < 0 || delayMs > LONGEST_DELAY_MS) {
    throw new ConfigurationError('The argument of retryIn() is not usable', [
      `delayMs must be a number from 0 to ${LONGEST_DELAY_MS}, got ${show(delayMs)}`,
    ]);
  }
  return HandlerVerdict.of('retry', Math.ceil(delayMs), '');
}

/** The message becomes a dead letter at once, without further attempts. */
export function deadLetter(reason: string): HandlerVerdict {
  return HandlerVerdict.of('dead-letter', 0, reason);
}

/** The message is done without an effect; only a counter and a log line record it. */
export function drop(reason: string): HandlerVerdict {
  return HandlerVerdict.of('drop', 0, reason);
}
