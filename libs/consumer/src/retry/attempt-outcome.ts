import type { Headers } from '../reply/reply.js';

/** What became of a message that was not done in an attempt. */
export interface AttemptOutcome {
  /** `retry` when it was decided; the others once they are committed. */
  readonly kind: 'retry' | 'dead-letter' | 'drop';
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly messageId: string | null;
  readonly headers: Headers;
  /** Headers of Waybill's own. */
  readonly control: Headers;
  /** Attempts made that count. */
  readonly attempts: number;
  /** What the last attempt threw; undefined when the message was dropped. */
  readonly error: unknown;
  /** The wait before the next attempt, in milliseconds; undefined unless there is one. */
  readonly delayMs: number | undefined;
}
