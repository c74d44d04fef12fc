import fc from 'fast-check';
import { RecordBatchBuilder } from '../../src/record/index.js';

/** A record before it is appended. */
export interface DraftRecord {
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: { key: string; value: Buffer | null }[];
}

const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

const headerKey = fc.string({ unit: 'binary', maxLength: 12 });

/** Records of all shapes: nulls, empties, unicode headers, times before the first one. */
export const draftRecord: fc.Arbitrary<DraftRecord> = fc.record({
  timestampMs: fc.oneof(
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_999 }),
    fc.integer({ min: 0, max: 2 ** 51 }),
  ),
  key: fc.option(bytes(24)),
  value: fc.option(fc.oneof(bytes(40), bytes(300))),
  headers: fc.array(fc.record({ key: headerKey, value: fc.option(bytes(20)) }), { maxLength: 6 }),
});

export const draftRecords = fc.array(draftRecord, { minLength: 1, maxLength: 20 });

/** A builder with the records; it starts small, so that it has to grow. */
export function builderOf(records: readonly DraftRecord[]): RecordBatchBuilder {
  const builder = new RecordBatchBuilder(64);
  for (const record of records) builder.append(record.timestampMs, record.key, record.value, record.headers);
  return builder;
}
