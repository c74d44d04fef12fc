import { decodeBatch, type FetchedBatch, type LogRecord } from '@waybill/log';
import { keyOf } from './record-fields.js';

/** A record as a lane works with it: where it is, and what orders it. */
export interface LaneRecord {
  readonly offset: number;
  /** Orders the records of one key; null has no order. */
  readonly key: string | null;
  readonly bucketSeq: number;
  readonly record: LogRecord;
  /** Whether an operator has redriven it. */
  readonly isRedriven?: boolean;
}

/** The records of a fetched batch from an offset on, for a lane. */
export function laneRecords({ data, bucketSeq }: FetchedBatch, fromOffset: number): LaneRecord[] {
  return decodeBatch(data, { fromOffset }).map((record) => ({
    offset: record.offset,
    key: keyOf(record),
    bucketSeq,
    record,
  }));
}
