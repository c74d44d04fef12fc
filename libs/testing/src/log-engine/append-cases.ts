import assert from 'node:assert/strict';
import { type Appended, sortForAppend } from '@waybill/log';
import { appendOne, batchOf, type CaseLog, endsOf, partitionOf, readFrom } from './log-under-test.js';

const APPENDERS = 2;
const APPENDS = 20;

/** Appends: where records come to stand. */
export const appendCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'gives the records of a partition ascending offsets, in the order of the appends',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(2);
      const [first, second] = [partitionOf(topic, 0), partitionOf(topic, 1)];
      const batches = sortForAppend([
        batchOf(second, ['x']),
        batchOf(first, ['a', 'b']),
        batchOf(first, ['c']),
      ]);
      const appended = await engine.append(batches);
      assert.deepEqual(
        appended.map(({ partitionId }) => partitionId),
        batches.map(({ partitionId }) => partitionId),
      );
      const next = await appendOne(engine, first, ['d', 'e']);
      const records = await readFrom(engine, first, 0);
      assert.deepEqual(
        records.map(({ value }) => value),
        ['a', 'b', 'c', 'd', 'e'],
      );
      assert.equal(records[3]?.offset, next.baseOffset);
      assertAscending(records.map(({ offset }) => offset));
      assert.deepEqual(
        (await readFrom(engine, second, 0)).map(({ value }) => value),
        ['x'],
      );
      if (!log.underTest.hasDenseOffsets) return;
      assert.deepEqual(
        records.map(({ offset }) => offset),
        [0, 1, 2, 3, 4],
      );
    },
  ],
  [
    'keeps what processes append at the same time, each batch together and nothing twice',
    async (log) => {
      const { topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const locations: (Appended & { readonly values: string[] })[] = [];
      const appendAll = async (appender: number): Promise<void> => {
        const { log: engine } = await log.open();
        for (let n = 0; n < APPENDS; n += 1) {
          const values = [0, 1, 2].map((part) => `${appender}.${n}.${part}`);
          locations.push({ ...(await appendOne(engine, partitionId, values)), values });
        }
      };
      await Promise.all(Array.from({ length: APPENDERS }, (_, appender) => appendAll(appender)));
      const { log: engine } = await log.open();
      const inOrder = locations.toSorted((a, b) => a.baseOffset - b.baseOffset);
      const records = await readFrom(engine, partitionId, 0);
      assert.deepEqual(
        records.map(({ value }) => value),
        inOrder.flatMap(({ values }) => values),
      );
      assertAscending(records.map(({ offset }) => offset));
      if (log.underTest.hasDenseOffsets)
        assert.deepEqual(
          records.map(({ offset }) => offset),
          records.map((_, index) => index),
        );
    },
  ],
  [
    'appends all batches of an append, or none',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const unknown = 2_147_483_647;
      await assert.rejects(engine.append([batchOf(partitionId, ['a']), batchOf(unknown, ['b'])]));
      const { startOffset, endOffset } = await endsOf(engine, partitionId);
      assert.equal(endOffset, startOffset);
    },
  ],
  [
    "does not append a producer's batch again, and tells where it stands",
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const producerId = await engine.nextProducerId();
      assert.notEqual(await engine.nextProducerId(), producerId);
      const first = await appendOne(engine, partitionId, ['a', 'b'], { producerId, baseSequence: 0 });
      const second = await appendOne(engine, partitionId, ['c'], { producerId, baseSequence: 2 });
      const { log: other } = await log.open();
      const again = await appendOne(other, partitionId, ['a', 'b'], { producerId, baseSequence: 0 });
      assert.deepEqual(again, first);
      assert.deepEqual(await appendOne(other, partitionId, ['c'], { producerId, baseSequence: 2 }), second);
      assert.deepEqual(
        (await readFrom(engine, partitionId, 0)).map(({ value }) => value),
        ['a', 'b', 'c'],
      );
    },
  ],
];

function assertAscending(offsets: readonly number[]): void {
  const at = offsets.findIndex((offset, index) => index > 0 && offset <= (offsets[index - 1] as number));
  assert.equal(at, -1, `the offset after ${offsets[at - 1]} is ${offsets[at]}`);
}
