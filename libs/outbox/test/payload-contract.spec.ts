import { describe, expect, test } from '@jest/globals';
import { PayloadInvalidError } from '@waybill/kernel';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import { PayloadContract, PayloadContracts } from '../src/index.js';
import type { GivenTopicSchema } from '../src/index.js';
import type { Message } from '../src/message.js';
import { encodeMessage } from '../src/publish/encode-message.js';

const zod = z.object({ id: z.string(), lines: z.array(z.object({ pieces: z.int().positive() })) });
const schemas: Record<string, GivenTopicSchema> = {
  zod,
  valibot: v.object({
    id: v.string(),
    lines: v.array(v.object({ pieces: v.pipe(v.number(), v.integer(), v.minValue(1)) })),
  }),
  arktype: type({ id: 'string', lines: type({ pieces: 'number.integer > 0' }).array() }),
};
const good = { id: 'o-1', lines: [{ pieces: 2 }] };
const secret = { id: 'o-1', lines: [{ pieces: 2 }, { pieces: 'hunter2' }] };

const refusal = (work: () => unknown): PayloadInvalidError => {
  try {
    work();
  } catch (error) {
    if (error instanceof PayloadInvalidError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

describe.each(Object.entries(schemas))('a schema of %s', (_, schema) => {
  test('accepts a valid payload, and names only the paths of an invalid one', () => {
    const contract = new PayloadContract('orders', schema);
    contract.assertFits(good, 'message 1 to topic orders');
    const error = refusal(() => contract.assertFits(secret, 'message 1 to topic orders'));
    expect(error.message).toContain('The payload of message 1 to topic orders does not match version 1');
    expect(error.message).toContain(': lines[1].pieces. Nothing was published');
    expect(`${error.message} ${error.stack}`).not.toContain('hunter2');
    expect(error.issues).toMatchObject([{ path: 'lines[1].pieces', message: expect.any(String) }]);
  });
});

describe('a contract', () => {
  const contract = new PayloadContract('orders', {
    schema: z.object({ total: z.number(), currency: z.string().default('EUR') }),
    version: 3,
    upcasters: {
      1: ({ price }: { price: string }) => ({ total: price }),
      2: ({ total }: { total: string }) => ({ total: Number(total) }),
    },
  });

  test('converts older payloads to its version, and returns the output of the schema', () => {
    const read = (payload: unknown, header?: string) =>
      contract.read(payload, contract.versionOf(header, 'm'), 'm');
    expect(read({ price: '7' })).toEqual({ total: 7, currency: 'EUR' });
    expect(read({ total: '7' }, '2')).toEqual({ total: 7, currency: 'EUR' });
    expect(read({ total: 7, currency: 'CHF' }, '3')).toEqual({ total: 7, currency: 'CHF' });
    expect(refusal(() => read(null)).message).toContain('its upcaster from version 1 threw (TypeError)');
    expect(refusal(() => read({ total: 'x' }, '2')).issues[0]).toMatchObject({ path: 'total' });
  });

  test('reports newer versions, and older ones that it cannot read', () => {
    expect(() => contract.versionOf('4', 'm')).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_VERSION_UNKNOWN', retryable: true }),
    );
    const late = new PayloadContract('orders', {
      schema: zod,
      version: 3,
      unversioned: 2,
      upcasters: { 2: (x) => x },
    });
    for (const header of ['1', '0', '-1', 'two', '', '1e9'])
      expect(() => late.versionOf(header, 'm')).toThrow(
        expect.objectContaining({ code: 'PAYLOAD_VERSION_UNSUPPORTED' }),
      );
    expect(late.versionOf(undefined, 'm')).toBe(2);
  });

  test('shows at most ten paths, and quotes keys that are not identifiers', () => {
    const many = new PayloadContract('orders', z.record(z.string(), z.number()));
    const payload = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`a key\n${i}`, 'x']));
    const { message, issues } = refusal(() => many.assertFits(payload, 'm'));
    expect(issues).toHaveLength(14);
    expect(message).toContain('["a key\\n9"] and 4 more');
    expect(message).not.toContain('["a key\\n10"]');
  });

  test('refuses schemas and upcasters that return a Promise, and those that throw', () => {
    const late = new PayloadContract(
      'orders',
      z.string().refine(async () => false),
    );
    expect(() => late.assertFits('x', 'm')).toThrow('checked synchronously');
    const slow = new PayloadContract('orders', { schema: zod, version: 2, upcasters: { 1: async (x) => x } });
    expect(() => slow.read(good, 1, 'm')).toThrow('its upcaster from version 1 returns a Promise');
    const broken = new PayloadContract('orders', {
      '~standard': {
        version: 1,
        vendor: 'none',
        validate: () => {
          throw new RangeError('hunter2');
        },
      },
    });
    expect(refusal(() => broken.assertFits('x', 'm')).message).toMatch(/its schema threw \(RangeError\)/);
  });

  test.each<[string, unknown, string]>([
    ['no schema', {}, 'schema must be a Standard Schema'],
    ['nothing', null, 'it must be a Standard Schema'],
    ['an unknown option', { schema: zod, verson: 2 }, 'did you mean version?'],
    ['a version that is not an integer', { schema: zod, version: 1.5 }, 'version must be a whole number'],
    [
      'a gap',
      { schema: zod, version: 4, upcasters: { 1: () => 1, 3: () => 1 } },
      'no upcaster from version 2',
    ],
    ['no upcasters', { schema: zod, version: 3 }, 'no upcaster from version 1, 2;'],
    [
      'an upcaster of the current version',
      { schema: zod, upcasters: { 1: () => 1 } },
      'not a version before 1',
    ],
    [
      'an upcaster that is not a function',
      { schema: zod, version: 2, upcasters: { 1: 1 } },
      'is not a function',
    ],
    [
      'a version from the future',
      { schema: zod, unversioned: 2 },
      'unversioned (2) is newer than version (1)',
    ],
  ])('with %s is refused', (_, given, problem) => {
    expect(() => new PayloadContracts({ orders: given as GivenTopicSchema })).toThrow(problem);
  });

  test('for a topic is the same for every caller', () => {
    const versioned = { schema: zod, version: 2, upcasters: { 1: (x: unknown) => x } };
    const contracts = new PayloadContracts({ a: zod, b: versioned });
    contracts.add({ a: { schema: zod }, b: { ...versioned } });
    contracts.assertUsable();
    contracts.add({ a: z.string(), b: { ...versioned, upcasters: { 1: (x: unknown) => x } } });
    expect(() => contracts.assertUsable()).toThrow('topic a has two different schemas');
    expect(() => contracts.assertUsable()).toThrow('topic b has two different schemas');
  });
});

describe('a message to a topic with a schema', () => {
  const contracts = new PayloadContracts({
    orders: { schema: z.object({ at: z.iso.datetime() }), version: 2, unversioned: 2 },
    dates: z.object({ at: z.date() }),
  });
  const encode = (message: Message) =>
    encodeMessage(message, { maxMessageBytes: 1_000, codecs: {}, traceHeaders: () => ({}), contracts });

  test('is checked as its handler will read it, and stored as it was given', () => {
    const at = new Date(0);
    const { headers, payload } = encode({ topic: 'orders', payload: { at, more: 1 } });
    expect({ ...headers }).toEqual({ 'schema-version': '2' });
    expect(payload.toString()).toBe(JSON.stringify({ at, more: 1 }));
    expect(refusal(() => encode({ topic: 'dates', payload: { at } })).issues).toMatchObject([{ path: 'at' }]);
    expect(encode({ topic: 'others', payload: { at: 1 } }).headers).toBeNull();
  });

  test('gets its version from the schema', () => {
    const headers = { 'Schema-Version': '9' };
    expect(() => encode({ topic: 'orders', payload: { at: new Date(0) }, headers })).toThrow(
      'header Schema-Version is set by the schema of its topic',
    );
    expect({ ...encode({ topic: 'others', payload: 1, headers }).headers }).toEqual(headers);
  });
});
