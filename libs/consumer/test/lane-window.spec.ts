import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LaneWindow, type WindowRecord } from '../src/lane/lane-window.js';

const record = (offset: number, key: string | null): WindowRecord => ({ offset, key });
const offsets = (records: readonly WindowRecord[] | undefined): number[] =>
  (records ?? []).map(({ offset }) => offset);

describe('a lane window', () => {
  test('in order key runs different keys in parallel and each key in order', () => {
    const window = new LaneWindow<WindowRecord>('key', 0, new Set(), 0);
    window.add([record(0, 'a'), record(1, 'a'), record(2, 'b'), record(3, null), record(4, null)], 4);
    const a = window.take(1);
    const b = window.take(1);
    expect([offsets(a?.records), offsets(b?.records)]).toEqual([[0], [2]]);
    expect(offsets(window.take(5)?.records)).toEqual([3, 4]);
    expect(window.take(1)).toBeUndefined();
    expect(window.position).toBe(0);
    window.done(a?.records ?? []);
    expect(window.position).toBe(1);
    expect(offsets(window.take(1)?.records)).toEqual([1]);
  });

  test('in order partition runs one batch at a time', () => {
    const window = new LaneWindow<WindowRecord>('partition', 5, new Set(), 0);
    window.add([record(4, 'old'), record(5, 'a'), record(6, 'b'), record(7, 'c')], 7);
    const first = window.take(2);
    expect(offsets(first?.records)).toEqual([5, 6]);
    expect(window.take(2)).toBeUndefined();
    window.done(first?.records.slice(0, 1) ?? []);
    window.putBack(first?.records.slice(1) ?? []);
    expect(offsets(window.take(2)?.records)).toEqual([6, 7]);
  });

  test('runs suspects one at a time, and leaves out marked records', () => {
    const window = new LaneWindow<WindowRecord>('key', 0, new Set([1]), 3);
    window.add([record(0, 'a'), record(1, 'b'), record(2, 'c'), record(3, 'd'), record(4, 'e')], 4);
    const first = window.take(8);
    expect(first).toMatchObject({ alone: true, records: [{ offset: 0 }] });
    expect(window.take(8)).toBeUndefined();
    window.done(first?.records ?? []);
    const second = window.take(8);
    expect(second).toMatchObject({ alone: true, records: [{ offset: 2 }] });
    window.done(second?.records ?? []);
    expect(window.take(8)).toMatchObject({ alone: false, records: [{ offset: 3 }, { offset: 4 }] });
  });

  test('always keeps keys in order, never runs two of a key at once, and never moves the position beyond open records', () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c', null),
      take: fc.integer({ min: 1, max: 4 }),
      end: fc.nat(2),
      add: fc.nat(3),
    });
    fc.assert(
      fc.property(
        fc.constantFrom('key' as const, 'partition' as const),
        fc.nat(6),
        fc.array(step, { maxLength: 60 }),
        (order, suspectEnd, steps) => {
          const window = new LaneWindow<WindowRecord>(order, 0, new Set(), suspectEnd);
          const running: WindowRecord[][] = [];
          const done: WindowRecord[] = [];
          let next = 0;
          for (const { key, take, end, add } of steps) {
            const records = Array.from({ length: add }, () => record(next++, key));
            if (records.length > 0) window.add(records, next - 1);
            const batch = window.take(take);
            if (batch !== undefined) running.push([...batch.records]);
            const others = running.flatMap((each, index) => each.map(({ key: of }) => ({ of, index })));
            for (const { of, index } of others) {
              expect(others.some((other) => of !== null && other.of === of && other.index !== index)).toBe(
                false,
              );
            }
            const ending = running[end];
            if (ending !== undefined) {
              running.splice(end, 1);
              const finished = ending.slice(0, Math.ceil(ending.length / 2));
              window.done(finished);
              done.push(...finished);
              window.putBack(ending.slice(finished.length));
            }
            const finishedOffsets = new Set(offsets(done));
            for (let offset = 0; offset < window.position; offset += 1)
              expect(finishedOffsets.has(offset)).toBe(true);
            expect(window.position === next || !finishedOffsets.has(window.position)).toBe(true);
          }
          for (const key of ['a', 'b', 'c']) {
            const order = done.filter((each) => each.key === key).map(({ offset }) => offset);
            expect(order).toEqual(order.toSorted((a, b) => a - b));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
