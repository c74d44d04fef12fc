import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  MAX_VARLONG,
  VarintReader,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from '../../src/record/varint.js';

function readerOf(...bytes: number[]): VarintReader {
  return new VarintReader(Buffer.from(bytes), 0, bytes.length);
}

test('a 32-bit integer is read back from the announced number of bytes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer(), fc.integer({ min: -200, max: 200 })), (value) => {
      const buffer = Buffer.alloc(10);
      const end = writeVarint(buffer, 0, value);
      expect(end).toBe(varintSize(value));
      expect(new VarintReader(buffer, 0, end).varint()).toBe(value);
    }),
  );
});

test('an integer of 52 bits is read back from the announced number of bytes', () => {
  const edges = [
    MAX_VARLONG,
    -MAX_VARLONG,
    2 ** 27,
    -(2 ** 27),
    2 ** 27 - 1,
    -(2 ** 27) - 1,
    2 ** 32,
    -(2 ** 32),
  ];
  for (const value of edges) roundTrip(value);
  fc.assert(fc.property(fc.integer({ min: -MAX_VARLONG, max: MAX_VARLONG }), roundTrip));

  function roundTrip(value: number): void {
    const buffer = Buffer.alloc(10);
    const end = writeVarlong(buffer, 0, value);
    expect(end).toBe(varlongSize(value));
    expect(new VarintReader(buffer, 0, end).varlong()).toBe(value);
  }
});

test('a value that is too wide, or ends too early, is refused', () => {
  expect(() => readerOf(0x80, 0x80).varint()).toThrow(/middle of a field/);
  expect(() => readerOf(0xff, 0xff, 0xff, 0xff, 0x1f).varint()).toThrow(/wider than 32 bits/);
  expect(() => readerOf(0xff, 0xff, 0xff, 0xff, 0x8f, 0x01).varint()).toThrow(/wider than 32 bits/);
  expect(() => readerOf(...Array<number>(9).fill(0xff), 0x01).varlong()).toThrow(/not a safe integer/);
  expect(() => readerOf(...Array<number>(7).fill(0xff), 0x3f).varlong()).toThrow(/not a safe integer/);
  expect(() => new VarintReader(Buffer.from([1, 2]), 1, 1).byte()).toThrow(/middle of a field/);
  expect(readerOf(0xff, 0xff, 0xff, 0xff, 0x0f).varint()).toBe(-(2 ** 31));
});
