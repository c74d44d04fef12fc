import { describe, expect, test } from '@jest/globals';
import vm from 'node:vm';
import { plainJson } from '../src/plain-json.js';

class Order {
  constructor(
    readonly id: string,
    readonly placedAt: Date,
  ) {}

  get total(): number {
    return 1;
  }
}

class Money {
  readonly #pence = 100;
  pounds(): number {
    return this.#pence / 100;
  }
}

class Cleared {}

const holding: Record<string, unknown> = { list: [] };
(holding['list'] as unknown[]).push({ again: holding });

/** Values that JSON leaves out or changes, and where they are. */
const REFUSED: [string, unknown, string][] = [
  ['NaN', { a: { b: [1, Number.NaN] } }, 'payload.a.b[1] is NaN'],
  ['Infinity', [Number.POSITIVE_INFINITY], 'payload[0] is Infinity'],
  ['an invalid Date', { at: new Date(Number.NaN) }, 'payload.at is an invalid Date'],
  ['a Map', { 'a b': new Map([[1, 2]]) }, 'payload["a b"] is a Map'],
  ['a Set', { a: new Set([1]) }, 'payload.a is a Set'],
  ['a WeakMap', { a: new WeakMap() }, 'payload.a is a WeakMap'],
  ['a Buffer', { a: Buffer.from('a') }, 'payload.a is a Buffer'],
  ['a typed array', { a: new Float64Array(1) }, 'payload.a is a Float64Array'],
  ['a DataView', { a: new DataView(new ArrayBuffer(1)) }, 'payload.a is a DataView'],
  ['an ArrayBuffer', { a: new ArrayBuffer(1) }, 'payload.a is a ArrayBuffer'],
  ['a RegExp', { a: /x/ }, 'payload.a is a RegExp'],
  ['an Error', { a: new Error('x') }, 'payload.a is a Error'],
  ['a Promise', { a: Promise.resolve(1) }, 'payload.a is a Promise'],
  ['search parameters', { a: new URLSearchParams('b=c') }, 'payload.a is a URLSearchParams'],
  ['a function', { a: () => {} }, 'payload.a is a function'],
  ['a symbol', { a: Symbol('x') }, 'payload.a is a symbol'],
  [
    'a property with a symbol as its name',
    { a: { [Symbol('x')]: 1 } },
    'payload.a has a property with a symbol as its name',
  ],
  ['undefined itself', undefined, 'payload is undefined'],
  ['undefined in a list', { a: [undefined] }, 'payload.a[0] is undefined'],
  ['a hole', { a: Array(2) }, 'payload.a[0] is a hole'],
  [
    'a list with properties',
    { a: Object.assign([1], { b: 2 }) },
    'payload.a is a list with extra properties',
  ],
  ['a BigInt', { a: 1n }, 'payload.a is a bigint'],
  ['a number beyond 2^53', { a: 2 ** 53 }, 'payload.a is 9007199254740992'],
  ['a boxed NaN', { a: Object(Number.NaN) as unknown }, 'payload.a is NaN'],
  ['a key __proto__', JSON.parse('{ "a": { "__proto__": 1 } }'), 'payload.a.__proto__ cannot be handled'],
  ['a prototype', { a: { constructor: { prototype: 1 } } }, 'payload.a.constructor has a prototype'],
  ['an instance that hides its state', { a: new Money() }, 'payload.a is a Money without own properties'],
  ['a cycle', holding, 'payload.list[0].again contains itself'],
  ['a toJSON that returns NaN', { a: { toJSON: () => Number.NaN } }, 'payload.a is NaN'],
  ['a Map of another realm', { a: vm.runInNewContext('new Map()') as unknown }, 'payload.a is a Map'],
];

describe('the JSON form of a value', () => {
  test.each(REFUSED)('%s is refused, with its path', (_, value, path) => {
    expect(() => plainJson(value)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(path) }),
    );
  });

  test('very deep values are refused before the stack ends', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level += 1) deep = { deep };
    expect(() => plainJson(deep)).toThrow(/levels deep/);
  });

  test.each<[string, unknown, unknown]>([
    [
      'a plain value',
      { a: [1, 'b', true, null, { c: -1.5e-3 }] },
      { a: [1, 'b', true, null, { c: -1.5e-3 }] },
    ],
    ['a valid Date as its text', { at: new Date(0), n: 1 }, { at: '1970-01-01T00:00:00.000Z', n: 1 }],
    [
      'an instance as its properties',
      new Order('A', new Date(0)),
      { id: 'A', placedAt: '1970-01-01T00:00:00.000Z' },
    ],
    ['an instance of a class without properties', new Cleared(), {}],
    ['a URL as its text', { a: new URL('http://a.b/') }, { a: 'http://a.b/' }],
    ['what toJSON returns', [{ toJSON: (key: string) => ({ key }) }], [{ key: '0' }]],
    ['an undefined property as no property', { a: undefined, b: 1 }, { b: 1 }],
    ['-0 as 0', { a: -0 }, { a: 0 }],
    ['strings with NUL and half a surrogate', ['\0', '\ud800'], ['\0', '\ud800']],
    ['an object without a prototype', Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
    ['objects of another realm', vm.runInNewContext('({ a: [1] })'), { a: [1] }],
    ['the same object twice', ((one) => [one, one])({ a: 1 }), [{ a: 1 }, { a: 1 }]],
  ])('%s is taken', (_, value, expected) => {
    expect(JSON.parse(JSON.stringify(plainJson(value)))).toEqual(expected);
    expect(JSON.stringify(plainJson(value))).toBe(JSON.stringify(value));
  });

  test('a value that needs no other form is not copied', () => {
    const value = { a: [{ b: 1 }] };
    expect(plainJson(value)).toBe(value);
  });
});
