import { describe, expect, test } from '@jest/globals';
import type { SqlSession } from '@waybill/kernel';
import { Sealer } from '@waybill/log';
import { type Codec, Outbox } from '@waybill/outbox';
import { contentToCheck, storeContent } from '../src/half-content.js';

const marked: Codec = {
  contentType: 'text/marked',
  encode: (payload) => Buffer.from(`marked ${JSON.stringify(payload)}`),
  decode: (bytes) => JSON.parse(bytes.toString().slice(7)) as unknown,
};

describe('the content of a half message that a check gets', () => {
  test('is read with the codec of its topic, even if the topic is named like a property of every object', async () => {
    const codecs = { ['__proto__']: marked };
    const outbox = new Outbox({ codecs });
    const topics = ['constructor', '__proto__', 'toString'];
    const content = storeContent(topics.map((topic) => outbox.encode({ topic, payload: { topic } })));
    const session: SqlSession = {
      schema: 'waybill',
      run: () => Promise.reject(new Error('no query is expected here')),
    };
    const seen = await contentToCheck(content, { codecs, sealer: Sealer.none, session });
    expect(seen.map(({ payload }) => payload)).toEqual(topics.map((topic) => ({ topic })));
    expect(seen[0]?.headers['constructor']).toBeUndefined();
  });
});
