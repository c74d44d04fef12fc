import assert from 'node:assert/strict';
import { decodeBatch } from '@waybill/log';
import { appendOne, type CaseLog, endsOf, partitionOf, readFrom } from './log-under-test.js';

/** Reads: fetches, and offsets by place and by time. */
export const fetchCases: readonly (readonly [string, (log: CaseLog) => Promise<void>])[] = [
  [
    'fetches from any offset, also from within a batch',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      for (const values of [['a', 'b', 'c'], ['d'], ['e', 'f']]) await appendOne(engine, partitionId, values);
      const all = await readFrom(engine, partitionId, 0);
      assert.equal(all.map(({ value }) => value).join(''), 'abcdef');
      const { log: other } = await log.open();
      for (const [index, { offset }] of all.entries())
        assert.deepEqual(await readFrom(other, partitionId, offset), all.slice(index));
    },
  ],
  [
    'fetches several partitions together, and is silent about those with nothing new',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(3);
      const [first, second, third] = [0, 1, 2].map((number) => partitionOf(topic, number)) as [
        number,
        number,
        number,
      ];
      await appendOne(engine, first, ['a']);
      await appendOne(engine, third, ['c']);
      const { endOffset } = await endsOf(engine, third);
      const fetched = await engine.fetch([
        { partitionId: first, offset: 0 },
        { partitionId: second, offset: 0 },
        { partitionId: third, offset: endOffset },
      ]);
      assert.deepEqual(
        fetched.batches.map(({ partitionId }) => partitionId),
        [first],
      );
      const { batches, mayHaveMore } = await engine.fetch([]);
      assert.deepEqual({ batches, mayHaveMore }, { batches: [], mayHaveMore: false });
    },
  ],
  [
    'fetches little where little is wanted, says that more may follow, and loses nothing',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      const values = Array.from({ length: 12 }, (_, n) => `${n}${'.'.repeat(500)}`);
      for (const value of values) await appendOne(engine, partitionId, [value]);
      const { batches, mayHaveMore } = await engine.fetch([{ partitionId, offset: 0 }], {
        partitionBytes: 1,
      });
      assert.equal(mayHaveMore, true);
      const got = batches.flatMap(({ data }) => [...decodeBatch(data)].map(({ value }) => String(value)));
      assert.ok(got.length > 0 && got.length < values.length, `${got.length} records came`);
      assert.deepEqual(
        (await readFrom(engine, partitionId, 0, 1)).map(({ value }) => value),
        values,
      );
    },
  ],
  [
    'sees what was appended after a fetch that found nothing',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      assert.deepEqual((await engine.fetch([{ partitionId, offset: 0 }])).batches, []);
      const { log: other } = await log.open();
      await appendOne(other, partitionId, ['a']);
      assert.deepEqual(
        (await readFrom(engine, partitionId, 0)).map(({ value }) => value),
        ['a'],
      );
    },
  ],
  [
    'refuses an offset after the end, or before the oldest record that is kept',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(1);
      const partitionId = partitionOf(topic, 0);
      await appendOne(engine, partitionId, ['a', 'b']);
      const { endOffset } = await endsOf(engine, partitionId);
      const refusal = { code: 'OFFSET_OUT_OF_RANGE', topic: topic.name, partition: 0 };
      await assert.rejects(engine.fetch([{ partitionId, offset: endOffset + 1 }]), refusal);
      await log.underTest.expire(topic);
      const after = await appendOne(engine, partitionId, ['c']);
      assert.ok(after.baseOffset >= endOffset, 'an offset was given out again');
      await assert.rejects(engine.fetch([{ partitionId, offset: 0 }]), refusal);
      const { startOffset } = await endsOf(engine, partitionId);
      assert.deepEqual(await readFrom(engine, partitionId, startOffset), [
        { offset: after.baseOffset, value: 'c' },
      ]);
    },
  ],
  [
    'tells the start and the end of partitions',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(2);
      const [first, second] = [partitionOf(topic, 0), partitionOf(topic, 1)];
      await appendOne(engine, first, ['a', 'b']);
      const offsets = await engine.offsets([first, second]);
      const [record] = await readFrom(engine, first, 0);
      assert.equal(offsets.get(first)?.startOffset, record?.offset);
      assert.equal(offsets.get(second)?.startOffset, offsets.get(second)?.endOffset);
      const next = await appendOne(engine, first, ['c']);
      assert.ok(next.baseOffset >= (offsets.get(first)?.endOffset ?? Infinity), 'it stands before the end');
      if (log.underTest.hasDenseOffsets) assert.equal(next.baseOffset, offsets.get(first)?.endOffset);
    },
  ],
  [
    'finds the first record of a time or later, whatever the order of the times',
    async (log) => {
      const { log: engine, topic } = await log.withTopic(2);
      const [first, second] = [partitionOf(topic, 0), partitionOf(topic, 1)];
      await appendOne(engine, first, ['a', 'b'], { timestampsMs: [1_000, 2_000] });
      await appendOne(engine, first, ['c', 'd'], { timestampsMs: [5_000, 3_000] });
      await appendOne(engine, first, ['e'], { timestampsMs: [4_000] });
      const all = await readFrom(engine, first, 0);
      const offsetOf = (value: string): number | undefined =>
        all.find((record) => record.value === value)?.offset;
      const { endOffset } = await endsOf(engine, first);
      const found = async (ms: number): Promise<number | undefined> =>
        (await engine.offsetsAt([first, second], ms)).get(first);
      assert.equal(await found(0), offsetOf('a'));
      assert.equal(await found(1_000), offsetOf('a'));
      assert.equal(await found(1_001), offsetOf('b'));
      assert.equal(await found(2_001), offsetOf('c'));
      assert.equal(await found(5_000), offsetOf('c'));
      assert.equal(await found(5_001), endOffset);
      const empty = await endsOf(engine, second);
      assert.equal((await engine.offsetsAt([second], 0)).get(second), empty.endOffset);
    },
  ],
];
