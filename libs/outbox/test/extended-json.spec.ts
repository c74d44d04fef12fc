import { describe, expect, test } from '@jest/globals';
import { extendedJson } from '../src/index.js';

const carried = (value: unknown): unknown => extendedJson.decode(Buffer.from(extendedJson.encode(value)));

describe('extendedJson', () => {
  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['undefined in an object and a list', { a: undefined, b: [undefined, 1] }],
    ['BigInt', { a: 12_345_678_901_234_567_890n }],
    ['NaN and Infinity', [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    ['-0', [-0]],
    ['a number beyond 2^53', [2 ** 53, 1e300]],
    ['a Date', { at: new Date(1) }],
    [
      'a Map of everything',
      new Map<unknown, unknown>([
        [{ a: 1 }, new Set([1n])],
        [Number.NaN, undefined],
      ]),
    ],
    ['a Set', new Set(['a', new Date(0)])],
    ['a Buffer', { a: Buffer.from([0, 255]) }],
    ['a Uint8Array', { a: new Uint8Array([0, 255]) }],
    ['keys that begin with $', { $map: [[1, 2]], a: { $date: 'x' } }],
    ['keys of prototypes', JSON.parse('{ "__proto__": { "a": 1 }, "constructor": { "prototype": 2 } }')],
    ['texts', ['\0', '\ud800', '€']],
    ['plain JSON', { a: [1, 'b', null, true] }],
  ])('%s is read back unchanged', (_, value) => {
    const back = carried(value);
    expect(back).toEqual(value);
    expect(Object.is(back, undefined)).toBe(value === undefined);
    if (Array.isArray(value))
      for (const [index, entry] of value.entries()) expect((back as unknown[])[index]).toBe(entry);
  });

  test('an invalid Date stays an invalid Date', () => {
    expect((carried(new Date(Number.NaN)) as Date).getTime()).toBeNaN();
  });

  test('plain JSON stays plain JSON', () => {
    expect(Buffer.from(extendedJson.encode({ a: [1, null] })).toString()).toBe('{"a":[1,null]}');
  });

  test.each<[string, unknown, string]>([
    ['a function', { a: [() => {}] }, 'payload.a[0] is a function'],
    ['an instance', { a: new (class Order {})() }, 'payload.a is an instance of Order'],
    ['a hole', [Array(1)], 'payload[0] is a list with holes or extra'],
    ['a cycle', ((a: unknown[]) => (a.push(a), a))([]), 'payload[0] contains itself'],
  ])('%s is refused, with its path', (_, value, path) => {
    expect(() => extendedJson.encode(value)).toThrow(path);
  });

  test('a value from a later release is refused', () => {
    expect(() => extendedJson.decode(Buffer.from('{"$temporal":"x"}'))).toThrow('$temporal');
  });
});
