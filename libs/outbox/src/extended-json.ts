import { parseJson } from '@waybill/kernel';
import { isPlainObject, NotPlainJsonError } from '@waybill/kernel/internal';
import { types } from 'node:util';
import type { Codec } from './codec.js';

/**
 * JSON that also carries values that JSON cannot represent, unchanged: `undefined`, BigInt, every number, Date,
 * Map, Set, Buffer and Uint8Array. An object with one key that begins with `$` represents such a value; an object that
 * has such keys itself is written as a list of entries. Both sides of a topic need it; handlers without it read the raw
 * form.
 */
export const extendedJson: Codec = {
  contentType: 'application/vnd.waybill.extended+json',
  encode: (payload) => Buffer.from(JSON.stringify(write(payload, 'payload', [])), 'utf8'),
  decode: (bytes) => read(parseJson(bytes.toString('utf8'))),
};

function write(value: unknown, path: string, within: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'undefined':
      return { $undefined: true };
    case 'bigint':
      return { $bigint: value.toString() };
    case 'number':
      return isExact(value) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) };
    case 'object':
      return value === null ? null : writeObject(value, path, within);
    case 'function':
    case 'symbol':
      throw new NotPlainJsonError(`${path} is a ${typeof value}, which cannot be serialised`);
  }
}

function isExact(value: number): boolean {
  return (
    Number.isFinite(value) &&
    !Object.is(value, -0) &&
    (!Number.isInteger(value) || Number.isSafeInteger(value))
  );
}

function writeObject(value: object, path: string, outer: readonly object[]): unknown {
  if (outer.includes(value)) throw new NotPlainJsonError(`${path} contains itself`);
  const within = [...outer, value];
  if (types.isDate(value)) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  if (Buffer.isBuffer(value)) return { $buffer: value.toString('base64') };
  if (types.isUint8Array(value)) return { $uint8array: Buffer.from(value).toString('base64') };
  if (types.isMap(value))
    return {
      $map: [...value].map(([key, entry], index) => [
        write(key, `${path} key ${index}`, within),
        write(entry, `${path} value ${index}`, within),
      ]),
    };
  if (types.isSet(value))
    return { $set: [...value].map((entry, index) => write(entry, `${path} member ${index}`, within)) };
  if (Array.isArray(value)) return writeList(value, path, within);
  if (!isPlainObject(value)) {
    const { name } = (value as { constructor: { name: string } }).constructor;
    throw new NotPlainJsonError(
      `${path} is an instance of ${name}, which would be read as a different kind of object`,
    );
  }
  const entries = Object.entries(value).map(
    ([key, entry]) => [key, write(entry, `${path}.${key}`, within)] as const,
  );
  const isSpecial = entries.some(
    ([key]) => key.startsWith('$') || key === '__proto__' || key === 'constructor',
  );
  return isSpecial ? { $object: entries } : Object.fromEntries(entries);
}

function writeList(list: readonly unknown[], path: string, within: readonly object[]): unknown[] {
  if (Object.keys(list).length !== list.length)
    throw new NotPlainJsonError(`${path} is a list with holes or extra properties`);
  return list.map((entry, index) => write(entry, `${path}[${index}]`, within));
}

const READERS: ReadonlyMap<string, (content: never) => unknown> = new Map<
  string,
  (content: never) => unknown
>([
  ['$undefined', () => undefined],
  ['$bigint', (digits: string) => BigInt(digits)],
  ['$number', (digits: string) => Number(digits)],
  ['$date', (time: string | null) => new Date(time ?? Number.NaN)],
  ['$buffer', (base64: string) => Buffer.from(base64, 'base64')],
  ['$uint8array', (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))],
  [
    '$map',
    (entries: [unknown, unknown][]) => new Map(entries.map(([key, value]) => [read(key), read(value)])),
  ],
  ['$set', (members: unknown[]) => new Set(members.map(read))],
  [
    '$object',
    (entries: [string, unknown][]) => Object.fromEntries(entries.map(([key, value]) => [key, read(value)])),
  ],
]);

function read(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(read);
  const entries = Object.entries(value);
  const [key = '', content] = entries[0] ?? [];
  if (entries.length === 1 && key.startsWith('$')) {
    const reader = READERS.get(key);
    if (reader === undefined) throw new SyntaxError(`it has a ${key}, which this release does not know`);
    return reader(content as never);
  }
  return Object.fromEntries(entries.map(([name, entry]) => [name, read(entry)]));
}
