import { ConfigurationError, isWaybillError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log/internal';
import { PayloadContract } from './payload-contract.js';
import { type TopicSchemas, topicSchemaProblems } from './topic-schema.js';

/** The contracts of topics, as the parts of an application give them. */
export class PayloadContracts {
  readonly #byTopic = new Map<string, PayloadContract>();
  readonly #problems: string[] = [];

  /** @throws ConfigurationError listing every problem of the schemas themselves */
  constructor(schemas: TopicSchemas = {}) {
    this.add(schemas);
  }

  /**
   * Adds schemas. A topic that is given two different ones is a problem, told by {@link assertUsable}.
   * @throws ConfigurationError listing every problem of the schemas themselves
   */
  add(schemas: TopicSchemas): void {
    const problems = topicSchemasProblems(schemas);
    if (problems.length > 0) throw new ConfigurationError('The schemas of topics are not usable', problems);
    for (const [topic, given] of Object.entries(schemas)) {
      const contract = new PayloadContract(topic, given);
      const known = this.#byTopic.get(topic);
      if (known !== undefined && !known.equals(contract))
        this.#problems.push(`topic ${topic} is given two different schemas: give it one`);
      this.#byTopic.set(topic, contract);
    }
  }

  /** The contract of a topic; undefined when its payloads may be anything. */
  find(topic: string): PayloadContract | undefined {
    return this.#byTopic.get(topic);
  }

  /** Topics with a contract. */
  topics(): string[] {
    return [...this.#byTopic.keys()];
  }

  /** @throws ConfigurationError listing every topic with two different schemas */
  assertUsable(): void {
    if (this.#problems.length > 0)
      throw new ConfigurationError('The schemas of topics are not usable', this.#problems);
  }
}

/** Everything that is wrong with schemas, one sentence each. */
export function topicSchemasProblems(schemas: TopicSchemas): string[] {
  if (typeof schemas !== 'object' || schemas === null) return ['schemas must be an object: topic to schema'];
  return Object.entries(schemas).flatMap(([topic, given]) => [
    ...topicNameProblems(topic),
    ...topicSchemaProblems(topic, given),
  ]);
}

function topicNameProblems(topic: string): string[] {
  try {
    assertTopicName(topic);
    return [];
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return [error.message.replace(/\.$/, '')];
  }
}
