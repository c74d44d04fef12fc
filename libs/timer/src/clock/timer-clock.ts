/**
 * What wakes a process when timers are due. It only says when to look: which timers are due the database says, so a
 * clock that wakes early, late, twice or never changes nothing but the delay.
 */
export interface TimerClock {
  readonly name: 'postgres' | 'redis';
  /** Why it cannot be relied on at present; undefined when it can. */
  readonly trouble: string | undefined;
  /** @param ring called when something may be due */
  start(ring: () => void): void;
  stop(): Promise<void>;
  /** Timers have been scheduled, or moved: due times by the database's clock, in milliseconds since the epoch. */
  arm(dueMs: readonly number[]): void;
  /**
   * How long the process may rest unless it is rung for, in milliseconds.
   * @param nextInMs in how many milliseconds the next timer is due; null when there is none
   */
  restMs(nextInMs: number | null): number;
}
