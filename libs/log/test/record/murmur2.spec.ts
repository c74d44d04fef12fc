import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32c, murmur2, partitionForKey } from '../../src/record/index.js';
import { kafkajs } from './kafkajs-codec.js';

test("hashes Kafka's test vectors like Kafka", () => {
  const vectors: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [key, hash] of vectors) expect([key, murmur2(Buffer.from(key))]).toEqual([key, hash]);
});

test('agrees with kafkajs on any key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (key) => {
      expect(murmur2(key)).toBe(kafkajs.murmur2(Buffer.from(key)));
    }),
    { numRuns: 2_000 },
  );
});

test('a key has one partition, within range', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.integer({ min: 1, max: 2_000 }), (key, partitions) => {
      const partition = partitionForKey(key, partitions);
      expect(partition).toBe((murmur2(key) & 0x7fffffff) % partitions);
      expect(partition >= 0 && partition < partitions).toBe(true);
    }),
  );
  for (const partitions of [0, -1, 1.5, Number.NaN]) {
    expect(() => partitionForKey(Buffer.from('k'), partitions)).toThrow(RangeError);
  }
});

test('computes CRC-32C, not CRC-32', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});
