import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type ParkedEntry, ParkedQueue } from '../src/parked/parked-queue.js';

const entry = (offset: number, key: string | null, dueAt = 0, stored = true): ParkedEntry => ({
  offset,
  key,
  attempts: 0,
  dueAt,
  failingSince: undefined,
  fromDeadLetter: false,
  crashes: 0,
  stored,
});
const any = (): boolean => true;

describe('the queue of parked messages', () => {
  test('returns the first of a key when it is due, and the next only after it', () => {
    const queue = new ParkedQueue('key');
    queue.add(entry(1, 'a', 100));
    queue.add(entry(2, 'a'));
    queue.add(entry(3, 'b', 50));
    expect(queue.nextDueAt).toBe(50);
    expect(queue.take(49, any)).toBeUndefined();
    const b = queue.take(60, any);
    expect(b?.offset).toBe(3);
    expect(queue.take(60, any)).toBeUndefined();
    const first = queue.take(100, any) as ParkedEntry;
    expect(first.offset).toBe(1);
    expect(queue.take(1_000, any)).toBeUndefined();
    queue.again(first, 300);
    expect(queue.take(299, any)).toBeUndefined();
    expect(queue.take(300, any)).toBe(first);
    queue.finish(first);
    expect(queue.isBlocked('a')).toBe(true);
    const second = queue.take(300, any) as ParkedEntry;
    expect(second.offset).toBe(2);
    queue.finish(second);
    expect(queue.isBlocked('a')).toBe(false);
    expect(queue.size).toBe(1);
  });

  test('goes on with a message that was added in front of one that ran and has to wait', () => {
    for (const [order, dueAt] of [
      ['key', Infinity],
      ['partition', Infinity],
      ['key', 500],
    ] as const) {
      const queue = new ParkedQueue(order);
      queue.add(entry(2, 'a'));
      const running = queue.take(0, any) as ParkedEntry;
      queue.add(entry(1, 'a', 10));
      expect(queue.take(20, any)).toBeUndefined();
      queue.again(running, dueAt);
      expect(queue.take(20, any)?.offset).toBe(1);
    }
  });

  test('keeps the place of a message that is not stored yet, and returns it only once it is', () => {
    const queue = new ParkedQueue('key');
    const waiting = entry(7, 'a', 0, false);
    queue.add(waiting);
    expect(queue.isBlocked('a')).toBe(true);
    expect(queue.take(10, any)).toBeUndefined();
    queue.stored([waiting]);
    expect(queue.take(10, any)).toBe(waiting);
  });

  test('puts an earlier message before those that wait already, and runs messages without a key in parallel', () => {
    const queue = new ParkedQueue('key');
    queue.add(entry(9, 'a'));
    queue.add(entry(4, 'a'));
    queue.add(entry(5, null));
    queue.add(entry(6, null));
    expect(queue.isBlocked(null)).toBe(false);
    const taken = [queue.take(0, any), queue.take(0, any), queue.take(0, any), queue.take(0, any)];
    expect(new Set(taken.map((one) => one?.offset))).toEqual(new Set([4, 5, 6, undefined]));
  });

  test('in order partition has a single queue', () => {
    const queue = new ParkedQueue('partition');
    queue.add(entry(2, 'b'));
    queue.add(entry(1, 'a', 5));
    expect(queue.take(4, any)).toBeUndefined();
    expect(queue.take(5, any)?.offset).toBe(1);
    expect(queue.take(5, any)).toBeUndefined();
  });

  test('counts what an operator has to decide on, and never returns it', () => {
    const queue = new ParkedQueue('key');
    const dead = entry(1, 'a', Infinity);
    queue.add(dead);
    queue.add(entry(2, 'a'));
    expect(queue.awaitingOperatorCount).toBe(1);
    expect([...queue.awaitingOperator()]).toEqual([dead]);
    expect(queue.take(1e12, any)).toBeUndefined();
    queue.reschedule(dead, 3);
    expect(queue.awaitingOperatorCount).toBe(0);
    expect(queue.take(3, any)).toBe(dead);
  });

  test('skips what may not run now without losing it', () => {
    const queue = new ParkedQueue('key');
    queue.add(entry(1, 'busy'));
    queue.add(entry(2, 'free'));
    expect(queue.take(0, ({ key }) => key !== 'busy')?.offset).toBe(2);
    expect(queue.take(0, any)?.offset).toBe(1);
  });

  test('runs everything once, each key in order of its offsets, whatever fails meanwhile', () => {
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', null), fails: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.infiniteStream(fc.nat(5)), (steps, random) => {
        const queue = new ParkedQueue('key');
        const left = new Map(steps.map(({ fails }, offset) => [offset, fails]));
        steps.forEach(({ key }, offset) => queue.add(entry(offset, key)));
        const ended: ParkedEntry[] = [];
        for (let now = 0; queue.size > 0 && now < 10_000; now += 1) {
          const taken: ParkedEntry[] = [];
          for (let one = queue.take(now, any); one !== undefined; one = queue.take(now, any)) taken.push(one);
          for (const one of taken) {
            const fails = left.get(one.offset) ?? 0;
            left.set(one.offset, fails - 1);
            if (fails > 0) queue.again(one, now + (random.next().value as number));
            else {
              queue.finish(one);
              ended.push(one);
            }
          }
        }
        expect(ended.length).toBe(steps.length);
        for (const key of ['a', 'b', 'c']) {
          const offsets = ended.filter((one) => one.key === key).map(({ offset }) => offset);
          expect(offsets).toEqual(offsets.toSorted((x, y) => x - y));
        }
      }),
    );
  });
});
