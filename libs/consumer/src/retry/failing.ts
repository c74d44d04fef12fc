import type { LaneRecord } from '../record/lane-record.js';
import type { FailedAttempt } from './decide-retry.js';

/** A message that has failed, or is given up, and what it has been through. */
export interface Failing extends FailedAttempt {
  readonly record: LaneRecord;
}
