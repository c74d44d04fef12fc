/** Enough for any wait, and does not overflow. */
const MOST_DOUBLINGS = 40;

/**
 * The wait after consecutive failures, in milliseconds: doubles with each, up to the maximum.
 * @param failures from 1
 */
export function backoffMs(failures: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS));
}
