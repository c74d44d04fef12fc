import { decodeBatch, type DecodeOptions, type FetchedBatch, type LogRecord } from '@waybill/log';
import { keyOf } from './record-fields.js';

/** A record as a lane uses it: its place and its key. */
export interface LaneRecord {
  readonly offset: number;
  /** Orders the records of one key; null means no order. */
  readonly key: string | null;
  readonly bucketSeq: number;
  readonly record: LogRecord;
  /** Whether an operator has redriven it. */
  readonly isRedriven?: boolean;
}

/** Records of a fetched batch, for a lane. */
export function laneRecords({ data, bucketSeq }: FetchedBatch, options: DecodeOptions): LaneRecord[] {
  return decodeBatch(data, options).map((record) => ({
    offset: record.offset,
    key: keyOf(record),
    bucketSeq,
    record,
  }));
}
