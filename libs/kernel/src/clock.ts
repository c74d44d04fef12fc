/** The process's clock. Leases, due times and expiry never use it: they use the database's clock. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** A monotonic time in milliseconds, for measuring how long something took. */
  monotonic(): number;
  /** Resolves after `ms` (24 days at most), or immediately when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node fires a timer with a longer delay immediately. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

/** The machine's clock. */
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
