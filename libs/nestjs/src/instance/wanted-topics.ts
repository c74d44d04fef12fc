import { ConfigurationError } from '@waybill/kernel';
import type { TopicOptions } from '@waybill/log';

/** Topics that parts of an application request. */
export class WantedTopics {
  readonly #topics = new Map<string, TopicOptions>();
  readonly #problems: string[] = [];

  constructor(topics: Readonly<Record<string, TopicOptions>> = {}) {
    this.add(topics);
  }

  /** Adds topics. Conflicting options of a topic are a problem, reported by {@link list}. */
  add(topics: Readonly<Record<string, TopicOptions>>): void {
    for (const [name, options] of Object.entries(topics)) {
      const known = this.#topics.get(name);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(options))
        this.#problems.push(
          `topic ${name} has conflicting options, ${JSON.stringify(known)} and ${JSON.stringify(options)}: define it once`,
        );
      this.#topics.set(name, options);
    }
  }

  /** @throws ConfigurationError that lists every topic with conflicting options */
  list(): [name: string, options: TopicOptions][] {
    if (this.#problems.length > 0)
      throw new ConfigurationError('The topics of the application are not usable', this.#problems);
    return [...this.#topics];
  }
}
