/** A scheduled message: encoded; its partition is chosen when it is delivered. */
export interface TimerMessage {
  /** The message's id, a UUID; also the timer's. */
  readonly id: string;
  /** Name for cancelling and moving timers; any number may share one. */
  readonly token: string | null;
  readonly topic: string;
  /** Null: determined by the key. */
  readonly partition: number | null;
  readonly key: string | null;
  /** An object as JSON text. */
  readonly headers: string | null;
  readonly payload: Buffer | null;
}

/** Selects scheduled messages: the one with an id, or all that carry a token. */
export type TimerTarget = { readonly id: string } | { readonly token: string };

/** A time, or a delay by the database's clock. A time in the past means now. */
export type TimerTime = { readonly dueAt: Date } | { readonly delayMs: number };

/** Called when timers have been scheduled, so that the clock can be armed for them. Only a hint. */
export interface TimerAlarm {
  /** @param dueMs due times by the database's clock, in milliseconds since the epoch */
  armed(dueMs: readonly number[]): void;
}
