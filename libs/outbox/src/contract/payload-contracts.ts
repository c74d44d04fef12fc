import { ConfigurationError, isWaybillError } from '@waybill/kernel';
import { assertTopicName } from '@waybill/log/internal';
import { PayloadContract } from './payload-contract.js';
import { type TopicSchemas, topicSchemaProblems } from './topic-schema.js';

/** The contracts of topics, collected from the parts of an application. */
export class PayloadContracts {
  readonly #byTopic = new Map<string, PayloadContract>();
  readonly #problems: string[] = [];

  /** @throws ConfigurationError listing every problem of the schemas themselves */
  constructor(schemas: TopicSchemas = {}) {
    this.add(schemas);
  }

  /**
   * Adds schemas. Two different ones for a topic are a problem that {@link assertUsable} reports.
   * @throws ConfigurationError listing every problem of the schemas themselves
   */
  add(schemas: TopicSchemas): void {
    const problems = topicSchemasProblems(schemas);
    if (problems.length > 0) throw new ConfigurationError('The schemas of topics are not usable', problems);
    for (const [topic, given] of Object.entries(schemas)) {
      const contract = new PayloadContract(topic, given);
      const known = this.#byTopic.get(topic);
      if (known !== undefined && !known.equals(contract))
        this.#problems.push(`topic ${topic} has two different schemas: give it only one`);
      this.#byTopic.set(topic, contract);
    }
  }

  /** The contract of a topic; undefined if its payloads may be anything. */
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

/** All problems of schemas, one sentence each. */
export function topicSchemasProblems(schemas: TopicSchemas): string[] {
  if (typeof schemas !== 'object' || schemas === null)
    return ['schemas must be an object of topics and their schemas'];
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
