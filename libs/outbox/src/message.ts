import type { DelayLevel } from '@waybill/timer';

/** When a message is to be delivered, and until when it is worth handling. */
export interface MessageTimes {
  /** Delivered then; a time in the past is now. At most one of `deliverAt`, `delayMs` and `delayLevel`. */
  readonly deliverAt?: Date;
  /** Delivered so many milliseconds after it is published, by the database's clock; up to 100 years. */
  readonly delayMs?: number;
  /** Delivered after a delay that is one of RocketMQ's levels. */
  readonly delayLevel?: DelayLevel;
  /** Names the timers of messages for cancelling and moving; any number may share one. Only with a delay. */
  readonly timerToken?: string;
  /** Not handled any more from then on: the topic says what becomes of it. At most one of `expiresAt` and `ttlMs`. */
  readonly expiresAt?: Date;
  /** Expires so many milliseconds after it becomes deliverable, by the database's clock. */
  readonly ttlMs?: number;
}

/** A message to publish. */
export interface Message<T = unknown> extends MessageTimes {
  readonly topic: string;
  /** Messages of one key are delivered in commit order. Without one a message may go to any partition. */
  readonly key?: string | null;
  /** Anything the topic's codec takes: by default, any JSON value. */
  readonly payload: T;
  /** Up to 64, 16 KiB in all; names beginning with `waybill-` are Waybill's own. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: a new UUIDv7. */
  readonly id?: string;
  /** Default: chosen by the key. */
  readonly partition?: number;
  /**
   * Whose data it holds: an internal id, such as `customer-17`. It is encrypted with a key of that subject's own, and is
   * unreadable everywhere once the subject is erased. Needs the option `cipher`. Up to 256 characters.
   */
  readonly subject?: string | null;
}

/**
 * A message of Waybill's own: an answer, a command of a saga. What control headers say is believed, so users cannot
 * write any: they stand apart from the headers on all of the way, and a login that only publishes may not write them.
 */
export interface ControlMessage<T = unknown> extends Message<T> {
  /** Names begin with `waybill-`. */
  readonly control: Readonly<Record<string, string>>;
  /** Whether its key is a user's, as that of a request is, and not one of Waybill's own. Default false. */
  readonly hasUserKey?: boolean;
}
