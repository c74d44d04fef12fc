import { expect, test } from '@jest/globals';
import { type FetchedBatch, RecordBatchBuilder } from '@waybill/log';
import { FetchedBatches } from '../src/lane/fetched-batches.js';
import { LaneWindow } from '../src/lane/lane-window.js';
import type { LaneRecord } from '../src/record/lane-record.js';

const newWindow = (position = 0): LaneWindow<LaneRecord> =>
  new LaneWindow<LaneRecord>('partition', position, new Set(), 0);

function batchOf(baseOffset: number, count: number): FetchedBatch {
  const builder = new RecordBatchBuilder();
  for (let n = 0; n < count; n += 1) builder.append(1_000, null, Buffer.from(`${baseOffset + n}`), []);
  const data = builder.build();
  data.writeBigInt64BE(BigInt(baseOffset), 0);
  const lastOffset = baseOffset + count - 1;
  return { partitionId: 1, baseOffset, lastOffset, bucketSeq: 1, checksum: 77 + baseOffset, data };
}

/** Takes and ends everything that waits. */
function finish(window: LaneWindow<LaneRecord>): number[] {
  const { records } = window.take(Infinity) ?? { records: [] };
  window.done(records);
  return records.map(({ offset }) => offset);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

test('batches are decoded as their records are needed, each record once and in order', () => {
  const window = newWindow();
  const fetched = new FetchedBatches(window);
  fetched.add(batchOf(0, 1_200));
  fetched.add(batchOf(1_200, 3));
  const parts: number[][] = [];
  while (!fetched.isEmpty) {
    fetched.fill(500);
    fetched.fill(500);
    parts.push(finish(window));
  }
  expect(parts.map(({ length }) => length)).toEqual([500, 500, 203]);
  expect(parts.flat()).toEqual(range(0, 1_203));
  expect(window.position).toBe(1_203);
});

test('a batch that ends with the part leaves nothing behind', () => {
  const window = newWindow();
  const fetched = new FetchedBatches(window);
  fetched.add(batchOf(0, 500));
  fetched.fill(500);
  expect(fetched.isEmpty).toBe(true);
  expect(finish(window)).toEqual(range(0, 500));
});

test('a lane begins in the middle of a batch; what was forgotten is fetched again from where it stopped', () => {
  const window = newWindow(300);
  const fetched = new FetchedBatches(window);
  fetched.add(batchOf(0, 1_000));
  fetched.fill(100);
  expect(finish(window)).toEqual(range(300, 400));
  fetched.clear();
  expect(fetched.isEmpty).toBe(true);
  expect(window.nextOffset).toBe(400);
  fetched.add(batchOf(0, 1_000));
  fetched.fill(1_000);
  expect(finish(window)).toEqual(range(400, 1_000));
});

test('the checksum of the batch that holds the record before a position is known within the batch', () => {
  const window = newWindow();
  const fetched = new FetchedBatches(window);
  const batch = batchOf(0, 1_000);
  fetched.add(batch);
  fetched.fill(10);
  expect(window.newestChecksum).toBe(batch.checksum);
  expect(window.checksumAt(5, 0)).toBe(batch.checksum);
});

test('a batch whose bytes have changed is not decoded at all', () => {
  const window = newWindow();
  const fetched = new FetchedBatches(window);
  const batch = batchOf(0, 1_000);
  batch.data[batch.data.length - 1] = (batch.data.at(-1) ?? 0) ^ 1;
  fetched.add(batch);
  expect(() => fetched.fill(10)).toThrow(expect.objectContaining({ code: 'LOG_CORRUPT_RECORD' }));
  expect(window.pendingCount).toBe(0);
});
