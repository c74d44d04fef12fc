import { describe, expect, test } from '@jest/globals';
import { keyName, oneLine, withoutSecrets } from '../src/safe-text.js';

describe('a text without secrets', () => {
  test.each([
    ['postgresql://ada:pw@db/shop', 'postgresql://***@db/shop'],
    ['postgresql://ada@db/shop', 'postgresql://***@db/shop'],
    ['at "redis://:p@w@h:1/0", twice', 'at "redis://***@h:1/0", twice'],
    ['write postgresql://user:password@host/db', 'write postgresql://user:password@host/db'],
    ['password=pw; user=ada', 'password=***; user=ada'],
    ['{"password": "p w", "n": 1}', '{"password": ***, "n": 1}'],
    ['authorization: Basic YWRh', 'authorization: ***'],
    ['password authentication failed for user "ada"', 'password authentication failed for user "ada"'],
    ['https://example.com/a?b=c and ada@example.com', 'https://example.com/a?b=c and ada@example.com'],
    ['the token of the topic', 'the token of the topic'],
  ])('%s', (text, clean) => {
    expect(withoutSecrets(text)).toBe(clean);
  });
});

test('one line stays one line, and keeps its words', () => {
  expect(oneLine('a\r\n\tb\u2028c\u001b[31md')).toBe('a b c [31md');
  expect(oneLine('Grüße, 東京 🙂')).toBe('Grüße, 東京 🙂');
});

test('a key is shown as its hash', () => {
  expect(keyName('a')).toBe('#ca978112ca1b');
});
