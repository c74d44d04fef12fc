import { CorruptRecordError } from '@waybill/kernel';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  BATCH_HEADER_BYTES,
  decodeBatch,
  patchBaseOffset,
  readBatchHeader,
  RecordBatchBuilder,
  recordSize,
  verifyBatch,
} from '../../src/record/index.js';
import { builderOf, draftRecord, draftRecords, type DraftRecord } from './arbitrary-records.js';
import { kafkajs } from './kafkajs-codec.js';

async function encodedByKafkajs(records: readonly DraftRecord[], producerId: bigint): Promise<Buffer> {
  const first = records[0] as DraftRecord;
  const encoder = await kafkajs.RecordBatch({
    firstOffset: kafkajs.Long.fromValue(77),
    firstTimestamp: first.timestampMs,
    maxTimestamp: Math.max(...records.map((record) => record.timestampMs)),
    partitionLeaderEpoch: 5,
    lastOffsetDelta: records.length - 1,
    producerId: kafkajs.Long.fromValue(producerId),
    producerEpoch: 3,
    firstSequence: 9,
    records: records.map((record, offsetDelta) =>
      kafkajs.encodeRecord({
        offsetDelta,
        timestampDelta: kafkajs.Long.fromValue(record.timestampMs - first.timestampMs),
        key: record.key,
        value: record.value,
        headers: Object.fromEntries(record.headers.map(({ key, value }) => [key, value as Buffer])),
      }),
    ),
  });
  return encoder.buffer;
}

/**
 * kafkajs accepts headers only as an object without null values, so other records are left out of the encoder
 * comparison.
 */
function forKafkajs(record: DraftRecord): DraftRecord {
  const unique = new Map(record.headers.map(({ key, value }) => [`h${key}`, value ?? Buffer.alloc(0)]));
  return { ...record, headers: [...unique].map(([key, value]) => ({ key, value })) };
}

function decoded(records: readonly DraftRecord[], baseOffset: number): unknown[] {
  return records.map((record, index) => ({ offset: baseOffset + index, ...record }));
}

describe('against kafkajs', () => {
  test('writes byte for byte what its encoder writes', async () => {
    await fc.assert(
      fc.asyncProperty(draftRecords, fc.bigInt({ min: -1n, max: 2n ** 62n }), async (drafts, producerId) => {
        const records = drafts.map(forKafkajs);
        const options = { producerId, producerEpoch: 3, baseSequence: 9, leaderEpoch: 5, baseOffset: 77 };
        const ours = builderOf(records).build(options);
        expect(ours.equals(await encodedByKafkajs(records, producerId))).toBe(true);
        expect(decodeBatch(ours)).toEqual(decoded(records, 77));
      }),
      { numRuns: 300 },
    );
  });

  test('its decoder reads our batches, including null header values and repeated headers', async () => {
    await fc.assert(
      fc.asyncProperty(draftRecords, async (drafts) => {
        const batch = builderOf(drafts).build({ baseOffset: 41, leaderEpoch: 2 });
        const theirs = await kafkajs.decodeBatch(new kafkajs.Decoder(batch));
        expect(theirs.firstOffset).toBe('41');
        expect(theirs.records).toHaveLength(drafts.length);
        for (const [index, record] of theirs.records.entries()) {
          const draft = drafts[index] as DraftRecord;
          expect([record.offset, record.timestamp]).toEqual([String(41 + index), String(draft.timestampMs)]);
          expect([record.key, record.value]).toEqual([draft.key, draft.value]);
          for (const header of draft.headers) {
            expect([record.headers[header.key]].flat()).toContainEqual(header.value);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('round trip', () => {
  test('returns every record as it was appended, within the announced sizes', () => {
    fc.assert(
      fc.property(draftRecords, fc.integer({ min: 0, max: 2 ** 52 }), (drafts, baseOffset) => {
        const builder = new RecordBatchBuilder(64);
        for (const { timestampMs, key, value, headers } of drafts) {
          const before = builder.byteLength;
          builder.append(timestampMs, key, value, headers);
          expect(builder.byteLength - before).toBeLessThanOrEqual(recordSize(key, value, headers));
        }
        const batch = builder.build({ baseOffset });
        expect(batch).toHaveLength(builder.byteLength);
        expect(builder.maxTimestamp).toBe(Math.max(...drafts.map((draft) => draft.timestampMs)));
        expect(decodeBatch(batch)).toEqual(decoded(drafts, baseOffset));
        expect(verifyBatch(batch)).toMatchObject({
          baseOffset,
          lastOffset: baseOffset + drafts.length - 1,
          recordCount: drafts.length,
          maxTimestampMs: builder.maxTimestamp,
          producerId: -1n,
        });
      }),
    );
  });

  test('keeps a record of 3 MiB and 200 headers, also with a reused builder', () => {
    const builder = new RecordBatchBuilder();
    const value = Buffer.alloc(3 << 20, 'ab');
    const headers = Array.from({ length: 200 }, (_, index) => ({
      key: `ключ-${index}-鍵`,
      value: Buffer.from([index]),
    }));
    builder.append(1_000, Buffer.from('k'), value, headers);
    const large = builder.build();
    builder.reset();
    expect([builder.count, builder.byteLength, builder.maxTimestamp]).toEqual([0, BATCH_HEADER_BYTES, -1]);
    builder.append(2_000, null, Buffer.from('small'), []);
    expect(decodeBatch(builder.build())).toEqual([
      { offset: 0, timestampMs: 2_000, key: null, value: Buffer.from('small'), headers: [] },
    ]);
    const [record] = decodeBatch(large);
    // Byte by byte: toEqual takes seconds over three million of them.
    expect(record?.value?.equals(value)).toBe(true);
    expect({ ...record, value: null }).toEqual({
      offset: 0,
      timestampMs: 1_000,
      key: Buffer.from('k'),
      value: null,
      headers,
    });
  });

  test('accepts encoded header names, and copies immediately', () => {
    const value = Buffer.from('before');
    const builder = new RecordBatchBuilder();
    builder.append(5, null, value, [{ key: Buffer.from('traceparent'), value: null }]);
    value.write('AFTER!');
    expect(decodeBatch(builder.build())).toMatchObject([
      { value: Buffer.from('before'), headers: [{ key: 'traceparent', value: null }] },
    ]);
  });

  test('a batch gets its offset without a new CRC, and is read from the middle', () => {
    const builder = new RecordBatchBuilder();
    for (let index = 0; index < 10; index++) builder.append(index, null, Buffer.from([index]), []);
    const batch = builder.build();
    patchBaseOffset(batch, 2 ** 40, 17);
    expect(verifyBatch(batch)).toMatchObject({
      baseOffset: 2 ** 40,
      lastOffset: 2 ** 40 + 9,
      leaderEpoch: 17,
    });
    const two = Buffer.concat([Buffer.from('xyz'), batch]);
    const tail = decodeBatch(two, { at: 3, fromOffset: 2 ** 40 + 8 });
    expect(tail.map((record) => record.offset)).toEqual([2 ** 40 + 8, 2 ** 40 + 9]);
    expect(() => patchBaseOffset(batch, 2 ** 53, 1)).toThrow(RangeError);
    expect(() => patchBaseOffset(batch, -1, 1)).toThrow(RangeError);
  });
});

describe('refusals', () => {
  test('a refused record leaves the batch unchanged, and an empty batch is not built', () => {
    const builder = new RecordBatchBuilder();
    expect(() => builder.build()).toThrow(/no records/);
    builder.append(10, null, Buffer.from('kept'), []);
    const before = builder.build();
    for (const timestamp of [Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 52)]) {
      expect(() => builder.append(timestamp, null, null, [])).toThrow(RangeError);
    }
    expect(builder.build()).toEqual(before);
  });

  test('compressed batches, control batches and old formats are refused by name', () => {
    const batch = builderOf([{ timestampMs: 1, key: null, value: null, headers: [] }]).build();
    const patched = (at: number, value: number): Buffer => {
      const copy = Buffer.from(batch);
      copy[at] = value;
      return copy;
    };
    expect(() => decodeBatch(patched(22, 4), { verify: false })).toThrow(/compressed with zstd/);
    expect(() => decodeBatch(patched(22, 32), { verify: false })).toThrow(/control batch/);
    expect(() => decodeBatch(patched(16, 1))).toThrow(/format version 1/);
    expect(() => decodeBatch(patched(22, 4))).toThrow(/has CRC/);
    expect(readBatchHeader(patched(22, 0b11011))).toMatchObject({
      compression: 'lz4',
      timestampType: 'append',
      transactional: true,
      control: false,
    });
  });

  test('records of an append-time batch carry the time of the batch', () => {
    const batch = builderOf([
      { timestampMs: 1, key: null, value: null, headers: [] },
      { timestampMs: 9, key: null, value: null, headers: [] },
    ]).build();
    batch[22] = 8;
    expect(decodeBatch(batch, { verify: false }).map((record) => record.timestampMs)).toEqual([9, 9]);
  });
});

describe('hostile bytes', () => {
  /** The result of `read`, or undefined if it refused as expected; any other error is rethrown. */
  function attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof CorruptRecordError && error.code === 'LOG_CORRUPT_RECORD') return undefined;
      throw error;
    }
  }

  test('random bytes are refused and never decoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, framed) => {
        const buffer = Buffer.from(noise);
        if (framed && buffer.length >= BATCH_HEADER_BYTES) {
          buffer.fill(0, 0, 8);
          buffer.writeInt32BE(buffer.length - 12, 8);
          buffer[16] = 2;
          buffer.writeInt16BE(0, 21);
        }
        expect(attempt(() => decodeBatch(buffer))).toBeUndefined();
        attempt(() => decodeBatch(buffer, { verify: false }));
        attempt(() => readBatchHeader(buffer));
      }),
      { numRuns: 1_500 },
    );
  });

  test('a batch cut anywhere is refused, one with a changed byte is refused or read correctly', () => {
    const mutation = fc.record({ at: fc.nat(), to: fc.nat({ max: 255 }), cut: fc.nat() });
    fc.assert(
      fc.property(
        fc.array(draftRecord, { minLength: 1, maxLength: 4 }),
        mutation,
        (drafts, { at, to, cut }) => {
          const batch = builderOf(drafts).build({ baseOffset: 3 });
          expect(attempt(() => decodeBatch(batch.subarray(0, cut % batch.length)))).toBeUndefined();
          const mutated = Buffer.from(batch);
          const position = at % batch.length;
          mutated[position] = to;
          const records = attempt(() => decodeBatch(mutated));
          // The base offset and the leader epoch are not covered by the CRC; the records themselves are.
          if (position >= 17 && to !== batch[position]) expect(records).toBeUndefined();
          expect(
            records?.map(({ value, key }) => ({ value, key })) ??
              drafts.map(({ value, key }) => ({ value, key })),
          ).toEqual(drafts.map(({ value, key }) => ({ value, key })));
          for (const record of attempt(() => decodeBatch(mutated, { verify: false })) ?? []) {
            expect(Number.isSafeInteger(record.offset) && Number.isSafeInteger(record.timestampMs)).toBe(
              true,
            );
          }
        },
      ),
      { numRuns: 1_500 },
    );
  });

  test('impossible counts and lengths do not make it read on', () => {
    const builder = builderOf([
      { timestampMs: 1, key: Buffer.from('k'), value: Buffer.from('v'), headers: [] },
    ]);
    const claims = builder.build();
    claims.writeInt32BE(0x7fffffff, 57);
    claims.writeInt32BE(0x7fffffff, 23);
    expect(() => decodeBatch(claims, { verify: false })).toThrow(/cannot hold 2147483647 records/);
    const headers = Buffer.from(builder.build());
    headers[headers.length - 1] = 0x7e;
    expect(() => decodeBatch(headers, { verify: false })).toThrow(/63 headers/);
    const key = Buffer.from(builder.build());
    key[BATCH_HEADER_BYTES + 4] = 0x40;
    expect(() => decodeBatch(key, { verify: false })).toThrow(/field of 32 bytes does not fit/);
    const trailing = Buffer.concat([builder.build(), Buffer.from([0])]);
    trailing.writeInt32BE(trailing.length - 12, 8);
    expect(() => decodeBatch(trailing, { verify: false })).toThrow(/after its last record/);
  });
});
