import { beforeEach, expect, test } from '@jest/globals';
import type { BoundStatement } from '@waybill/kernel';
import { Permits } from '../src/delivery/permits.js';
import type { VerdictWriter } from '../src/delivery/verdict-writer.js';
import { LaneProgress } from '../src/lane/lane-progress.js';
import { PartitionProgress } from '../src/progress/partition-progress.js';

/** What was written, as position and marker. */
let written: (readonly [position: number, marker: number])[];
/** When what is written is answered. */
let answer: Promise<void>;
let progress: LaneProgress;
let permits: Permits;
let stored: PartitionProgress;
beforeEach(() => {
  written = [];
  answer = Promise.resolve();
  permits = new Permits(4, () => {});
  const ownership = { partitionId: 1, ownerEpoch: 1, incarnation: 1 };
  const writer = {
    write: async (statements: readonly BoundStatement[]) => {
      written.push(...statements.map(storedBy));
      await answer;
    },
  };
  stored = new PartitionProgress(1, ownership as never, 1);
  progress = new LaneProgress(stored, writer as unknown as VerdictWriter, 0, 0, {
    checksumAt: () => undefined,
  });
});

/** `advance` has the position as its fourth parameter, and the marker as its fifth. */
function storedBy({ params }: BoundStatement): readonly [number, number] {
  return [params[3] as number, params[4] as number];
}

const permit = () => permits.tryAcquire() as NonNullable<ReturnType<Permits['tryAcquire']>>;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a position that is stored with an effect moves the marker as well', () => {
  const verdict = progress.advance(10, [], () => {});
  expect(verdict.statements.map(storedBy)).toEqual([[10, 138]]);
  expect(progress.position).toBe(0);
  verdict.committed();
  expect(progress.position).toBe(10);
  expect(progress.covers(138)).toBe(true);
  expect(progress.covers(139)).toBe(false);
});

test('what is marked above a position is stored with it', () => {
  const mark = stored.mark([12, 14], 'done');
  const { statements } = progress.advance(10, [mark], () => {});
  expect(statements).toHaveLength(2);
  expect(statements[0]).toBe(mark);
});

test('of positions that are stored at the same time the highest counts, whichever was committed last', () => {
  const lower = progress.advance(10, [], () => {});
  const higher = progress.advance(20, [], () => {});
  higher.committed();
  lower.committed();
  expect(progress.position).toBe(20);
});

test('a marker is not relied on while a position with a lower one may become the newest', async () => {
  const advance = progress.advance(10, [], () => {});
  let isCovered = false;
  const covering = progress.cover(200, 0, permit()).then(() => (isCovered = true));
  await turn();
  expect([isCovered, progress.covers(200)]).toEqual([false, false]);
  advance.committed();
  await covering;
  // The newest row is that of the highest position, so this one has its position.
  expect(written).toEqual([[10, 328]]);
  expect(progress.covers(200)).toBe(true);
});

test('what is stored with an effect while the marker is moved has the new marker', async () => {
  const before = progress.advance(10, [], () => {});
  const covering = progress.cover(200, 0, permit());
  const after = progress.advance(20, [], () => {});
  expect(after.statements.map(storedBy)).toEqual([[20, 328]]);
  after.committed();
  before.failed();
  await covering;
  // That one has covered it.
  expect(written).toEqual([]);
  expect(progress.covers(328)).toBe(true);
});

test('positions are stored one after the other: an older one never follows a newer one', async () => {
  let respond = (): void => {};
  answer = new Promise((resolve) => (respond = resolve));
  const storing = Promise.all([progress.store(10), progress.store(20)]);
  await turn();
  expect(written.map(([position]) => position)).toEqual([10]);
  respond();
  await storing;
  expect(written.map(([position]) => position)).toEqual([10, 20]);
  expect(progress.position).toBe(20);
});

test('who waits for a position that is being stored leaves its permit to others, which that may need', async () => {
  const advance = progress.advance(10, [], () => {});
  const own = permit();
  for (let other = 1; other < 4; other += 1) permit();
  const covering = progress.cover(200, 0, own);
  await turn();
  const free = permits.tryAcquire();
  expect([own.isHeld, free?.isHeld, progress.isAwaited]).toEqual([false, true, true]);
  advance.committed();
  await turn();
  expect(own.isHeld).toBe(false);
  free?.release();
  await covering;
  expect([own.isHeld, permits.tryAcquire(), progress.isAwaited]).toEqual([true, undefined, false]);
});

test('a position whose transaction failed is not stored, and holds nothing up', async () => {
  const advance = progress.advance(10, [], () => {});
  advance.failed();
  expect(progress.position).toBe(0);
  await progress.cover(200, 0, permit());
  expect(written).toEqual([[0, 328]]);
});
