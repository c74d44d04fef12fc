import type { Headers } from '../reply/reply.js';

/** The outcome of a message that was not done in an attempt. */
export interface AttemptOutcome {
  /** `retry` is reported when it is decided; the others once they are committed. */
  readonly kind: 'retry' | 'dead-letter' | 'drop';
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string | null;
  readonly headers: Headers;
  /** Waybill's own headers. */
  readonly control: Headers;
  /** Number of attempts that count. */
  readonly attempts: number;
  /** The error of the last attempt; undefined if the message was dropped. */
  readonly error: unknown;
  /** The wait before the next attempt, in milliseconds; undefined if there is none. */
  readonly delayMs: number | undefined;
}
