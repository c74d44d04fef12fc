/** Time as the process sees it. Leases, due times and expiry never use it: those are the database's clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** A monotonic time in milliseconds, for measuring how long something took. */
  monotonic(): number;
  /** Resolves after `ms` (24 days at most), or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A timer of Node that is set for longer goes off at once. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(ms, LONGEST_SLEEP_MS));
      signal?.addEventListener('abort', finish, { once: true });
    }),
};
