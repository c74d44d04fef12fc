import type { LaneRecord } from '../record/lane-record.js';

/** A message that has failed, and what it has been through. */
export interface Failing {
  readonly record: LaneRecord;
  /** What its last attempt threw, or why it is given up. */
  readonly error: unknown;
  /** Attempts made that count, the last one included. */
  readonly attempts: number;
  /** How long ago the first attempt failed, in milliseconds. */
  readonly failingForMs: number;
}
