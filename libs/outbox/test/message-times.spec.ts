import { describe, expect, test } from '@jest/globals';
import { DELAY_LEVELS_MS } from '@waybill/timer';
import type { Message } from '../src/message.js';
import { encodeMessage, type MessageRules } from '../src/publish/encode-message.js';

const RULES: MessageRules = { maxMessageBytes: 1_000, codecs: {}, traceHeaders: () => ({}) };
const encode = (message: Partial<Message>) =>
  encodeMessage({ topic: 'orders', payload: { n: 1 }, ...message }, RULES);
const later = new Date('2030-01-01T00:00:00.123Z');

describe('the times of a message', () => {
  test('are none for a message that is delivered immediately', () => {
    expect(encode({}).times).toBeNull();
    expect(encode({}).headers).toBeNull();
  });

  test('are a time, a delay or a level; a token names the timer', () => {
    expect(encode({ deliverAt: later, timerToken: 'order 7' }).times).toEqual({
      deliverAt: '2030-01-01T00:00:00.123Z',
      delayMs: null,
      expiresAtMs: null,
      ttlMs: null,
      timerToken: 'order 7',
    });
    expect(encode({ delayMs: 0 }).times).toMatchObject({ delayMs: 0 });
    expect(encode({ delayLevel: '2h' }).times).toMatchObject({ delayMs: 7_200_000 });
    expect(Object.keys(DELAY_LEVELS_MS)).toHaveLength(18);
  });

  test('expiry is a header, computed by the database if it is relative', () => {
    const plain = encode({ expiresAt: later, headers: { a: 'b' } });
    expect(plain.times).toBeNull();
    expect({ ...plain.headers }).toEqual({ a: 'b' });
    expect(plain.expiresAtMs).toBe(later.getTime());
    expect(encode({ ttlMs: 5 }).times).toMatchObject({ deliverAt: null, delayMs: null, ttlMs: 5 });
    expect(encode({ delayMs: 5, expiresAt: later }).times).toMatchObject({ expiresAtMs: later.getTime() });
  });

  test.each<[string, Partial<Message>]>([
    ['a time and a delay', { deliverAt: later, delayMs: 1 }],
    ['a delay and a level', { delayMs: 1, delayLevel: '1s' }],
    ['a level that does not exist', { delayLevel: '7m30s' as '7m' }],
    ['a negative delay', { delayMs: -1 }],
    ['half a millisecond', { delayMs: 0.5 }],
    ['a delay of more than a hundred years', { delayMs: 36_526 * 86_400_000 }],
    ['an invalid time', { deliverAt: new Date('never') }],
    ['a time more than a hundred years ahead', { deliverAt: new Date('2200-01-01') }],
    ['a token without a delay', { timerToken: 'x' }],
    ['an empty token', { delayMs: 1, timerToken: '' }],
    ['a token with NUL', { delayMs: 1, timerToken: 'a\0' }],
    ['expiry and time to live', { expiresAt: later, ttlMs: 1 }],
    ['no time to live', { ttlMs: 0 }],
    ['expiry at its delivery', { deliverAt: later, expiresAt: later }],
  ])('are refused with %s', (_, message) => {
    expect(() => encode(message)).toThrow(expect.objectContaining({ code: 'MESSAGE_INVALID' }));
  });
});
