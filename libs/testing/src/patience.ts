import { TestingError } from './testing-error.js';

/**
 * How long a wait of the given length lasts on this machine: WAYBILL_PATIENCE times as long (a number from 1 to 100,
 * default 1). The limit of a wait tells a condition that never holds from one that is late, and on a slow or shared
 * machine everything is late.
 * @param ms milliseconds
 * @returns milliseconds
 * @throws TestingError PATIENCE_INVALID
 */
export function withPatience(ms: number): number {
  const text = process.env['WAYBILL_PATIENCE'] ?? '1';
  const factor = Number(text);
  if (factor >= 1 && factor <= 100) return ms * factor;
  throw new TestingError(
    'PATIENCE_INVALID',
    `The environment variable WAYBILL_PATIENCE is ${JSON.stringify(text)}. Set it to a number from 1 to 100, by which waits last longer.`,
  );
}
