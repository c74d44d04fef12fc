/** Upper bounds of the buckets, in milliseconds; the last bucket has none. */
export const LATENESS_BOUNDS_MS = [
  5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000,
] as const;

/**
 * One bucket of a histogram: how many timers were at most `upToMs` late, and later than the previous bucket's bound.
 */
export interface LatenessBucket {
  /** Null for the last bucket. */
  readonly upToMs: number | null;
  readonly count: number;
}

/** Counts how late timers are fired. */
export class LatenessHistogram {
  readonly #counts = Array.from({ length: LATENESS_BOUNDS_MS.length + 1 }, () => 0);

  add(latenessMs: number): void {
    const index = LATENESS_BOUNDS_MS.findIndex((bound) => latenessMs <= bound);
    const bucket = index === -1 ? LATENESS_BOUNDS_MS.length : index;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  get buckets(): LatenessBucket[] {
    return this.#counts.map((count, index) => ({ upToMs: LATENESS_BOUNDS_MS[index] ?? null, count }));
  }
}
