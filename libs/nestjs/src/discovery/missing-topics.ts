import { type Subscription } from '@waybill/consumer';
import { isTopicPattern, TopicPatterns } from '@waybill/consumer/internal';
import { nearestName } from '@waybill/kernel/internal';
import type { DeclaredPattern } from './declared-patterns.js';

/** Reports each handler whose topic does not exist, with the nearest topic if there is one. */
export function missingTopics(handlers: readonly DeclaredPattern[], topics: readonly string[]): string[] {
  return handlers.flatMap(({ pattern, where }) => {
    if (isTopicPattern(pattern)) {
      if (topics.some((topic) => covers(pattern, topic))) return [];
      return [
        `no topic matches ${pattern}, which ${where} handles: it receives nothing until one is created.`,
      ];
    }
    if (topics.includes(pattern)) return [];
    const nearest = nearestName(pattern, topics);
    const hint = nearest === undefined ? '' : `did you mean ${nearest}? `;
    return [
      `topic ${pattern}, which ${where} handles, does not exist: ${hint}It receives nothing until the topic is created by ` +
        "the module's option `topics` or by the service that owns it.",
    ];
  });
}

function covers(pattern: string, topic: string): boolean {
  const subscribe = (): Subscription => {
    throw new Error('a pattern that is only matched has no subscription');
  };
  return new TopicPatterns([{ pattern, subscribe }]).find(topic) !== undefined;
}
