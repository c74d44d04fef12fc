import { ConfigurationError } from '@waybill/kernel';
import type { TopicOptions } from '@waybill/log';

/** Topics that the parts of an application have asked for. */
export class WantedTopics {
  readonly #topics = new Map<string, TopicOptions>();
  readonly #problems: string[] = [];

  constructor(topics: Readonly<Record<string, TopicOptions>> = {}) {
    this.add(topics);
  }

  /** Adds topics. A topic that is wanted in two ways is a problem, told by {@link list}. */
  add(topics: Readonly<Record<string, TopicOptions>>): void {
    for (const [name, options] of Object.entries(topics)) {
      const known = this.#topics.get(name);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(options))
        this.#problems.push(
          `topic ${name} is wanted as ${JSON.stringify(known)} and as ${JSON.stringify(options)}: say it once`,
        );
      this.#topics.set(name, options);
    }
  }

  /** @throws ConfigurationError listing every topic that is wanted in two ways */
  list(): [name: string, options: TopicOptions][] {
    if (this.#problems.length > 0)
      throw new ConfigurationError('The topics of the application are not usable', this.#problems);
    return [...this.#topics];
  }
}
