import { describe, expect, test } from '@jest/globals';
import { type Codec, Outbox } from '@waybill/outbox';
import { contentToCheck, storeContent } from '../src/half-content.js';

const marked: Codec = {
  contentType: 'text/marked',
  encode: (payload) => Buffer.from(`marked ${JSON.stringify(payload)}`),
  decode: (bytes) => JSON.parse(bytes.toString().slice(7)) as unknown,
};

describe('what a check sees of a half message', () => {
  test('is read by the codec of its topic, also where that is called like a property of every object', () => {
    const codecs = { ['__proto__']: marked };
    const outbox = new Outbox({ codecs });
    const topics = ['constructor', '__proto__', 'toString'];
    const content = storeContent(topics.map((topic) => outbox.encode({ topic, payload: { topic } })));
    const seen = contentToCheck(content, codecs);
    expect(seen.map(({ payload }) => payload)).toEqual(topics.map((topic) => ({ topic })));
    expect(seen[0]?.headers['constructor']).toBeUndefined();
  });
});
