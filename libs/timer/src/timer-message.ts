/** A message that waits for its time: encoded, and placed when it is delivered. */
export interface TimerMessage {
  /** The message's id, a UUID; also the timer's. */
  readonly id: string;
  /** Names timers for cancelling and moving; any number may share one. */
  readonly token: string | null;
  readonly topic: string;
  /** Null: chosen by the key. */
  readonly partition: number | null;
  readonly key: string | null;
  /** An object as JSON text. */
  readonly headers: string | null;
  readonly payload: Buffer | null;
}

/** Which scheduled messages are meant: the one of an id, or all that carry a token. */
export type TimerTarget = { readonly id: string } | { readonly token: string };

/** When: at a time, or after a delay by the database's clock. A time in the past is now. */
export type TimerTime = { readonly dueAt: Date } | { readonly delayMs: number };

/** Is told when timers have been scheduled, so that whatever wakes the process at their time can be set. A hint only. */
export interface TimerAlarm {
  /** @param dueMs due times by the database's clock, in milliseconds since the epoch */
  armed(dueMs: readonly number[]): void;
}
