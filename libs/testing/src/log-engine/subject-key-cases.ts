import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { newId } from '@waybill/kernel';
import type { WrappedKey } from '@waybill/log';
import { Source, valuesIn } from './hand-over-cases.js';
import { batchOf, type CaseLog, partitionOf } from './log-under-test.js';

const NOT_THERE = { wrapped: null, erased: false };
const ERASED = { wrapped: null, erased: true };

function keyOf(subjectHash: Buffer): WrappedKey {
  return { id: newId(), subjectHash, wrapped: randomBytes(64) };
}

/** Keys of subjects: they come with the records that need them, and are gone for good once their subject is erased. */
export const subjectKeyCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'stores the keys of subjects with the pass that needs them, or not at all',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const source = await Source.on(engine);
      const subject = randomBytes(32);
      const [first, second, lost] = [keyOf(subject), keyOf(subject), keyOf(subject)];
      await engine.handOver(source.next(), [batchOf(partitionId, ['a'])], [first]);
      await engine.handOver(source.next(), [batchOf(partitionId, ['b'])], [first, second]);
      const { log: other } = await log.open();
      const { subjectKeys: keys } = other;
      for (const { id, wrapped } of [first, second])
        assert.deepEqual(await keys.read(id, subject), { wrapped, erased: false });
      assert.equal(await keys.count(subject), 2);
      const after = { ...source.next(), n: 9 };
      await assert.rejects(engine.handOver(after, [batchOf(partitionId, ['z'])], [lost]), { code: 'FENCED' });
      assert.deepEqual(await keys.read(lost.id, subject), NOT_THERE);
    },
  ],
  [
    'gives a key only to those who know its subject, and keeps what it has under an id',
    async (log) => {
      const { log: engine } = await log.withTopic(1);
      const source = await Source.on(engine);
      const key = keyOf(randomBytes(32));
      await engine.handOver(source.next(), [], [key]);
      await engine.handOver(source.next(), [], [{ ...key, wrapped: randomBytes(64) }]);
      const { subjectKeys: keys } = engine;
      assert.deepEqual(await keys.read(key.id, key.subjectHash), { wrapped: key.wrapped, erased: false });
      assert.deepEqual(await keys.read(key.id, randomBytes(32)), NOT_THERE);
      assert.deepEqual(await keys.read(newId(), key.subjectHash), NOT_THERE);
    },
  ],
  [
    'destroys the keys of a subject for good, and takes its records all the same',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const source = await Source.on(engine);
      const [gone, other] = [keyOf(randomBytes(32)), keyOf(randomBytes(32))];
      await engine.handOver(source.next(), [batchOf(partitionId, ['a'])], [gone, other]);
      const { subjectKeys: keys } = engine;
      assert.equal(await keys.destroy(gone.subjectHash), 1);
      assert.equal(await keys.destroy(gone.subjectHash), 0);
      assert.deepEqual(await keys.read(gone.id, gone.subjectHash), ERASED);
      // A pass that was under way, with a key of before the erasure and one that was made since.
      const late = [gone, keyOf(gone.subjectHash), keyOf(other.subjectHash)];
      await engine.handOver(source.next(), [batchOf(partitionId, ['b'])], late);
      assert.equal(await valuesIn(engine, partitionId), 'ab');
      assert.equal(await keys.count(gone.subjectHash), 0);
      for (const { id } of late.slice(0, 2)) assert.deepEqual(await keys.read(id, gone.subjectHash), ERASED);
      assert.equal(await keys.count(other.subjectHash), 2);
    },
  ],
  [
    'refuses nothing to an erasure of a subject that it does not know, and remembers it',
    async (log) => {
      const { log: engine } = await log.withTopic(1);
      const source = await Source.on(engine);
      const key = keyOf(randomBytes(32));
      assert.equal(await engine.subjectKeys.destroy(key.subjectHash), 0);
      await engine.handOver(source.next(), [], [key]);
      const { log: other } = await log.open();
      assert.deepEqual(await other.subjectKeys.read(key.id, key.subjectHash), ERASED);
    },
  ],
];
