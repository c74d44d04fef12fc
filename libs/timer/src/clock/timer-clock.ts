/**
 * Wakes a process when timers are due. It only signals when to check: the database decides which timers are due, so a
 * clock that wakes early, late, twice or never affects only the delay.
 */
export interface TimerClock {
  readonly name: 'postgres' | 'redis';
  /** Why it is not reliable at present; undefined if it is. */
  readonly trouble: string | undefined;
  /** @param ring called when a timer may be due */
  start(ring: () => void): void;
  stop(): Promise<void>;
  /**
   * Called when timers have been scheduled or moved. Due times by the database's clock, in milliseconds since the
   * epoch.
   */
  arm(dueMs: readonly number[]): void;
  /**
   * How long the process may rest unless the clock rings, in milliseconds.
   * @param nextInMs time until the next timer is due, in milliseconds; null if there is none
   */
  restMs(nextInMs: number | null): number;
}
