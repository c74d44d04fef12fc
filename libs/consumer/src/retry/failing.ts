import type { LaneRecord } from '../record/lane-record.js';
import type { FailedAttempt } from './decide-retry.js';

/** A message that has failed or is being set aside, and its history. */
export interface Failing extends FailedAttempt {
  readonly record: LaneRecord;
}
