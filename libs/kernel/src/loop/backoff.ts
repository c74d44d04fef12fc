/** Far enough for any wait, and no overflow. */
const MOST_DOUBLINGS = 40;

/**
 * The wait after failures in a row, in milliseconds: twice as long after each, up to the longest.
 * @param failures from 1
 */
export function backoffMs(failures: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, MOST_DOUBLINGS));
}
