import { describe, expect, test } from '@jest/globals';
import { isId } from '@waybill/kernel';
import { bytesCodec } from '../src/codec.js';
import type { Message } from '../src/message.js';
import { encodeMessage, type MessageRules } from '../src/publish/encode-message.js';

const RULES: MessageRules = { maxMessageBytes: 1_000, codecs: { raw: bytesCodec }, traceHeaders: () => ({}) };
const encode = (message: Partial<Message>, rules: Partial<MessageRules> = {}) =>
  encodeMessage({ topic: 'orders', payload: { n: 1 }, ...message }, { ...RULES, ...rules });
const circular: Record<string, unknown> = {};
circular['self'] = circular;

describe('a message', () => {
  test('is encoded with a new id and the current trace', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const encoded = encode(
      { key: 'k', headers: { colour: 'blue' } },
      { traceHeaders: () => ({ traceparent }) },
    );
    expect(isId(encoded.id)).toBe(true);
    expect({ ...encoded.headers }).toEqual({ traceparent, colour: 'blue' });
    expect(encoded.payload.toString()).toBe('{"n":1}');
    expect(encode({ id: encoded.id }).id).toBe(encoded.id);
    expect(encode({ topic: 'raw', payload: new Uint8Array([1, 2]) })).toMatchObject({
      payload: Buffer.from([1, 2]),
      headers: { 'content-type': 'application/octet-stream' },
    });
  });

  test.each<[string, Partial<Message>, string]>([
    ['a topic with a space', { topic: 'a b' }, 'TOPIC_NAME_INVALID'],
    ['a topic without a name', { topic: '' }, 'TOPIC_NAME_INVALID'],
    ['a topic of two dots', { topic: '..' }, 'TOPIC_NAME_INVALID'],
    ['a topic that is too long', { topic: 'x'.repeat(250) }, 'TOPIC_NAME_INVALID'],
    ['an id that is not a UUID', { id: '42' }, 'MESSAGE_INVALID'],
    ['a negative partition', { partition: -1 }, 'MESSAGE_INVALID'],
    ['a key that is not a string', { key: 5 as unknown as string }, 'MESSAGE_INVALID'],
    ['a key with NUL', { key: 'a\0b' }, 'MESSAGE_INVALID'],
    ['a key with half a character', { key: '\ud800' }, 'MESSAGE_INVALID'],
    ['a key that is too long', { key: 'k'.repeat(4_097) }, 'MESSAGE_INVALID'],
    ['a reserved header', { headers: { 'Waybill-Id': 'x' } }, 'MESSAGE_INVALID'],
    ['a header with a line break', { headers: { a: 'b\r\nc: d' } }, 'MESSAGE_INVALID'],
    ['a header name with a space', { headers: { 'a b': 'c' } }, 'MESSAGE_INVALID'],
    ['a header that is not a string', { headers: { a: 1 as unknown as string } }, 'MESSAGE_INVALID'],
    [
      '65 headers',
      { headers: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, 'v'])) },
      'MESSAGE_INVALID',
    ],
    ['headers that are too large', { headers: { a: 'x'.repeat(17_000) } }, 'MESSAGE_INVALID'],
    ['a message that is too large', { payload: 'x'.repeat(1_000) }, 'MESSAGE_TOO_LARGE'],
    ['no payload', { payload: undefined }, 'PAYLOAD_NOT_SERIALIZABLE'],
    ['a function', { payload: () => 1 }, 'PAYLOAD_NOT_SERIALIZABLE'],
    ['a BigInt', { payload: { n: 1n } }, 'PAYLOAD_NOT_SERIALIZABLE'],
    ['a cycle', { payload: circular }, 'PAYLOAD_NOT_SERIALIZABLE'],
    ['JSON for a codec of bytes', { topic: 'raw', payload: {} }, 'PAYLOAD_NOT_SERIALIZABLE'],
  ])('with %s is refused', (_, message, code) => {
    expect(() => encode(message)).toThrow(expect.objectContaining({ code }));
  });

  test('may have a header named __proto__ without harm', () => {
    const headers = JSON.parse('{"__proto__": "x"}') as Record<string, string>;
    const encoded = encode({ headers });
    expect(JSON.stringify(encoded.headers)).toBe('{"__proto__":"x"}');
    expect(Object.getPrototypeOf(encoded.headers)).toBeNull();
  });
});
