import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isTopicPattern, type PatternSubscription, TopicPatterns } from '../src/handler/topic-pattern.js';

const patternsOf = (...patterns: readonly string[]): TopicPatterns =>
  new TopicPatterns(
    patterns.map((pattern): PatternSubscription => {
      const subscribe = (): never => {
        throw new Error('nothing is subscribed to here');
      };
      return { pattern, subscribe };
    }),
  );
const found = (topic: string, ...patterns: readonly string[]): string | undefined =>
  patternsOf(...patterns).find(topic)?.pattern;

describe('a topic pattern', () => {
  test.each([
    ['orders.*', 'orders.placed', true],
    ['orders.*', 'orders', false],
    ['orders.*', 'orders.eu.placed', false],
    ['orders.#', 'orders', true],
    ['orders.#', 'orders.eu.placed', true],
    ['orders.#', 'orderss', false],
    ['#', 'anything.at.all', true],
    ['*', 'anything', true],
    ['*', 'any.thing', false],
    ['#.placed', 'placed', true],
    ['#.placed', 'a.b.placed', true],
    ['#.placed', 'placed.not', false],
    ['a.#.z', 'a.z', true],
    ['a.#.z', 'a.b.c.z', true],
    ['a.#.z', 'a.b.c', false],
    ['a.*.#', 'a', false],
    ['a.*.#', 'a.b', true],
    ['#.#', 'a', true],
  ])('%s and %s: %s', (pattern, topic, holds) => {
    expect(found(topic, pattern) !== undefined).toBe(holds);
  });

  test('matches in the same way as its expansion into words', () => {
    const word = fc.constantFrom('a', 'b');
    const topics = fc.array(word, { minLength: 1, maxLength: 5 });
    const patterns = fc.array(fc.constantFrom('a', 'b', '*', '#'), { minLength: 1, maxLength: 5 });
    const expands = ([head, ...rest]: readonly string[], words: readonly string[]): boolean => {
      if (head === undefined) return words.length === 0;
      if (head === '#') return words.some((_, i) => expands(rest, words.slice(i))) || expands(rest, []);
      return words.length > 0 && (head === '*' || head === words[0]) && expands(rest, words.slice(1));
    };
    fc.assert(
      fc.property(patterns, topics, (pattern, topic) => {
        expect(found(topic.join('.'), pattern.join('.')) !== undefined).toBe(expands(pattern, topic));
      }),
    );
  });

  test('is the most specific that matches, in whatever order they are given', () => {
    const all = ['#', 'orders.#', 'orders.*', 'orders.eu.*', '*.eu.placed', '*.*', 'orders.*.#'];
    for (const patterns of [all, all.toReversed()]) {
      expect(found('orders.eu.placed', ...patterns)).toBe('*.eu.placed');
      expect(found('orders.eu.paid', ...patterns)).toBe('orders.eu.*');
      expect(found('orders.paid', ...patterns)).toBe('orders.*');
      expect(found('stock.moved', ...patterns)).toBe('*.*');
      expect(found('stock', ...patterns)).toBe('#');
      expect(found('orders.us.east.paid', ...patterns)).toBe('orders.*.#');
    }
  });

  test('never matches Waybill’s own topics of replies and calls', () => {
    for (const topic of ['shop.replies', 'shop.saga-replies']) expect(found(topic, '#')).toBeUndefined();
    expect(found('shop.replied', '#')).toBe('#');
  });

  test('that is invalid is refused by name', () => {
    expect(() => patternsOf('orders.>', 'a..*', 'a*', 'orders.*')).toThrow(
      /"orders\.>" is not a topic pattern[^]*"a\.\.\*" is not a topic pattern[^]*"a\*" is not a topic pattern/,
    );
    expect(['a.b', 'a.*', '#', 'a.>'].map(isTopicPattern)).toEqual([false, true, true, true]);
  });
});
