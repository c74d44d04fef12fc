import { ConfigurationError } from '@waybill/kernel';
import type { Subscription } from './subscription.js';

/** Topics of Waybill's own replies and calls: they are subscribed to by name, never by a pattern. */
const OWN_TOPIC = /\.(replies|saga-replies)$/;
const WORDS = /^(#|\*|[A-Za-z0-9_-]+)(\.(#|\*|[A-Za-z0-9_-]+))*$/;

/** A pattern of topics, and the subscription to each of them. */
export interface PatternSubscription {
  /** Words separated by dots; `*` matches one word, `#` any number of words or none. */
  readonly pattern: string;
  readonly subscribe: (topic: string) => Subscription;
}

/** Whether it is a pattern: it contains `*`, `#` or `>`, which topic names cannot. */
export function isTopicPattern(text: string): boolean {
  return /[*#>]/.test(text);
}

/** Topic patterns as in AMQP's topic exchange. If several match a topic, the most specific one is used. */
export class TopicPatterns {
  readonly #patterns: readonly PatternSubscription[];

  /** @throws ConfigurationError that lists every invalid pattern */
  constructor(patterns: readonly PatternSubscription[]) {
    const problems = patterns.flatMap(({ pattern }) =>
      WORDS.test(pattern)
        ? []
        : [
            `${JSON.stringify(pattern)} is not a topic pattern: use words separated by dots, * for one word, # for any number`,
          ],
    );
    if (problems.length > 0) throw new ConfigurationError('The subscriptions are not usable', problems);
    this.#patterns = patterns.toSorted((a, b) => bySpecificity(a.pattern, b.pattern));
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** The most specific pattern that matches a topic; undefined if none does, and for Waybill's own topics. */
  find(topic: string): PatternSubscription | undefined {
    if (OWN_TOPIC.test(topic)) return undefined;
    const words = topic.split('.');
    return this.#patterns.find(({ pattern }) => matches(pattern.split('.'), words));
  }
}

/**
 * Patterns with more literal words come first, then those with fewer `#`, then more `*`; the string comparison decides
 * last, so that all processes agree.
 */
function bySpecificity(a: string, b: string): number {
  const [one, other] = [countsOf(a), countsOf(b)];
  return other.said - one.said || one.hashes - other.hashes || other.stars - one.stars || (a < b ? -1 : 1);
}

function countsOf(pattern: string): { said: number; hashes: number; stars: number } {
  const words = pattern.split('.');
  const hashes = words.filter((word) => word === '#').length;
  const stars = words.filter((word) => word === '*').length;
  return { said: words.length - hashes - stars, hashes, stars };
}

/** Whether the words of a pattern match the words of a topic. */
function matches(pattern: readonly string[], topic: readonly string[]): boolean {
  // At index i: whether the pattern's words so far match the topic's first i.
  let reached = [true, ...topic.map(() => false)];
  for (const word of pattern) {
    const next: boolean[] = [];
    for (let i = 0; i <= topic.length; i += 1) {
      const step = i > 0 && reached[i - 1] === true && (word === '*' || word === topic[i - 1]);
      next.push(word === '#' ? reached[i] === true || (i > 0 && next[i - 1] === true) : step);
    }
    reached = next;
  }
  return reached[topic.length] === true;
}
