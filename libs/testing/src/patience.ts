import { TestingError } from './testing-error.js';

/** A wait is not made longer than this, so that its error says what did not happen, before the test's own limit ends it. */
const LONGEST_MS = 300_000;

/**
 * How long a wait of the given length lasts on this machine: WAYBILL_PATIENCE times as long (a number from 1 to 100,
 * default 1). The limit of a wait tells a condition that never holds from one that is late, and on a slow or shared
 * machine everything is late. At most five minutes, unless it lasts longer by itself.
 * @param ms milliseconds
 * @returns milliseconds
 * @throws TestingError PATIENCE_INVALID
 */
export function withPatience(ms: number): number {
  const text = process.env['WAYBILL_PATIENCE'] ?? '1';
  const factor = Number(text);
  if (factor >= 1 && factor <= 100) return Math.max(ms, Math.min(ms * factor, LONGEST_MS));
  throw new TestingError(
    'PATIENCE_INVALID',
    `The environment variable WAYBILL_PATIENCE is ${JSON.stringify(text)}. Set it to a number from 1 to 100, by which waits last longer.`,
  );
}
