import type { DelayLevel } from '@waybill/timer';

/** When a message is delivered, and until when it is worth handling. */
export interface MessageTimes {
  /** The delivery time; a time in the past means now. At most one of `deliverAt`, `delayMs` and `delayLevel`. */
  readonly deliverAt?: Date;
  /** Delay from publishing to delivery, in milliseconds, by the database's clock; up to 100 years. */
  readonly delayMs?: number;
  /** Delay as one of RocketMQ's levels. */
  readonly delayLevel?: DelayLevel;
  /** Name for cancelling and moving the timers of messages; any number may share one. Only with a delay. */
  readonly timerToken?: string;
  /**
   * From this time on the message is no longer handled: the topic's settings decide what happens to it. At most one of
   * `expiresAt` and `ttlMs`.
   */
  readonly expiresAt?: Date;
  /** Time to live after it becomes deliverable, in milliseconds, by the database's clock. */
  readonly ttlMs?: number;
}

/** A message to publish. */
export interface Message<T = unknown> extends MessageTimes {
  readonly topic: string;
  /** Messages of one key are delivered in commit order. A message without one may go to any partition. */
  readonly key?: string | null;
  /** Anything that the topic's codec accepts: by default, any JSON value. */
  readonly payload: T;
  /** Up to 64, 16 KiB in all; names that begin with `waybill-` are reserved. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: a new UUIDv7. */
  readonly id?: string;
  /** Default: determined by the key. */
  readonly partition?: number;
  /**
   * The subject whose data it contains: an internal id, e.g. `customer-17`. The message is encrypted with that
   * subject's key, and becomes unreadable everywhere once the subject is erased. Needs the option `cipher`. Up to 256
   * characters.
   */
  readonly subject?: string | null;
}

/**
 * A message from Waybill itself: a reply, a command of a saga. Control headers are trusted, so users cannot
 * write any: they are kept apart from other headers all the way, and a login that only publishes may not write them.
 */
export interface ControlMessage<T = unknown> extends Message<T> {
  /** Names begin with `waybill-`. */
  readonly control: Readonly<Record<string, string>>;
  /** Whether its key is a user's, like that of a request, and not one of Waybill's. Default false. */
  readonly hasUserKey?: boolean;
}
