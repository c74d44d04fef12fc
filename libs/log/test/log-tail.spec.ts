import { expect, test } from '@jest/globals';
import { systemClock } from '@waybill/kernel';
import type { FetchPosition } from '@waybill/log';
import { type AppendedBatch, LogTail } from '../src/engine/log-tail.js';

const HISTORY = { logEpoch: 1, incarnation: 1 };
const MEBIBYTE = 1024 * 1024;

/** A tail whose clock and news the test sets, with a reader at offset 0 of some partitions, who has read all there is. */
class Tail {
  now = 0;
  news = 0;
  listening = true;
  readonly tail = new LogTail(this, { ...systemClock, monotonic: () => this.now });

  constructor(...read: number[]) {
    this.learn(read.map((partitionId) => ({ partitionId, offset: 0 })));
  }

  learn(positions: readonly FetchPosition[], mayHaveMore = false): void {
    this.tail.learn(positions, { batches: [], mayHaveMore, history: HISTORY }, this.tail.mark());
  }

  add(partitionId: number, baseOffset: number, bytes = 100): void {
    const data = Buffer.alloc(bytes);
    this.tail.add([{ partitionId, baseOffset, lastOffset: baseOffset, bucketSeq: 1, data }], HISTORY);
  }

  /** The offsets that a reader gets, and whether the log has to be asked. */
  take(partitionId: number, offset: number, partitionBytes = MEBIBYTE): readonly [number[], boolean] {
    const { fetched, asked } = this.tail.take([{ partitionId, offset }], partitionBytes);
    return [(fetched?.batches ?? []).map(({ baseOffset }) => baseOffset), asked.length > 0];
  }
}

test('batches that follow on what was read are kept, as copies', () => {
  const tail = new Tail(1);
  const data = Buffer.alloc(100);
  const batch: AppendedBatch = { partitionId: 1, baseOffset: 0, lastOffset: 0, bucketSeq: 1, data };
  tail.tail.add([batch], HISTORY);
  data.fill(0xff);
  const { fetched } = tail.tail.take([{ partitionId: 1, offset: 0 }], MEBIBYTE);
  expect(fetched?.batches[0]?.data.equals(Buffer.alloc(100))).toBe(true);
  tail.add(1, 1);
  expect(tail.take(1, 0)).toEqual([[0, 1], false]);
  expect(tail.take(1, 1)).toEqual([[1], false]);
  expect(tail.take(1, 2)).toEqual([[], false]);
});

test('what others have appended is asked for, and nothing behind a gap is delivered', () => {
  const tail = new Tail(1);
  tail.add(1, 3);
  expect(tail.take(1, 0)).toEqual([[], true]);
  tail.learn([{ partitionId: 1, offset: 4 }]);
  tail.add(1, 4);
  tail.add(1, 6);
  expect(tail.take(1, 4)).toEqual([[], true]);
});

test.each<[string, (tail: Tail) => void]>([
  ['others announce records', (tail) => (tail.news += 1)],
  ['announcements are not heard any more', (tail) => (tail.listening = false)],
  ['some time has passed', (tail) => (tail.now += 201)],
])('the end is asked for again when %s', (_, happens) => {
  const tail = new Tail(1);
  expect(tail.take(1, 0)).toEqual([[], false]);
  happens(tail);
  expect(tail.take(1, 0)).toEqual([[], true]);
});

test('news that came while the log was being read are not taken for read', () => {
  const tail = new Tail(1);
  const before = tail.tail.mark();
  tail.news += 1;
  tail.tail.learn(
    [{ partitionId: 1, offset: 0 }],
    { batches: [], mayHaveMore: false, history: HISTORY },
    before,
  );
  expect(tail.take(1, 0)).toEqual([[], true]);
});

test('a partition is kept only while it is read in this process, by somebody near its end', () => {
  const tail = new Tail(1, 2);
  tail.add(3, 0);
  expect(tail.take(3, 0)).toEqual([[], true]);
  tail.learn([{ partitionId: 1, offset: 0 }], true);
  tail.add(1, 0);
  expect(tail.take(1, 0)).toEqual([[], true]);
  tail.now += 10_001;
  tail.add(2, 0);
  expect(tail.take(2, 0)).toEqual([[], true]);
});

test('nothing of an older history is kept', () => {
  const tail = new Tail(1, 2);
  tail.add(1, 0);
  const history = { ...HISTORY, incarnation: 2 };
  const read = [{ partitionId: 2, offset: 0 }];
  tail.tail.learn(read, { batches: [], mayHaveMore: false, history }, tail.tail.mark());
  expect(tail.take(1, 0)).toEqual([[], true]);
});

test('its memory is bounded: the oldest batches go, and the largest are not kept', () => {
  const tail = new Tail(1, 2);
  const bytes = MEBIBYTE / 4;
  for (let offset = 0; offset < 40; offset += 1) tail.add(1, offset, bytes);
  expect(tail.take(1, 23)).toEqual([[], true]);
  expect(tail.take(1, 24, 100 * MEBIBYTE)[0]).toHaveLength(16);
  expect(tail.take(1, 24, bytes * 2)[0]).toHaveLength(2);
  tail.add(2, 0, MEBIBYTE);
  expect(tail.take(2, 0)).toEqual([[], true]);
  tail.learn([{ partitionId: 2, offset: 1 }]);
  tail.add(2, 1, bytes);
  expect(tail.take(2, 1)).toEqual([[1], false]);
  expect(tail.take(1, 24)).toEqual([[], true]);
});
