import { TopicUnknownError } from '@waybill/kernel';
import type { Topics } from '../engine/topics.js';

/**
 * Has the topics read before messages are collected. Collecting is part of a transaction, and must not ask for a second
 * connection: as many transactions as the pool has connections would wait for one another.
 */
export class KnownTopics {
  #reading: Promise<unknown> | undefined;

  constructor(private readonly topics: Topics) {}

  /** Reads the topics the first time, and once more after a message named one that was not known. */
  async ready(): Promise<void> {
    const reading = (this.#reading ??= this.topics.list());
    try {
      await reading;
    } catch (error) {
      if (this.#reading === reading) this.#reading = undefined;
      throw error;
    }
  }

  /** Runs work that collects messages, and notes if one of them names a topic that may have been created since. */
  async watch<T>(collecting: () => Promise<T>): Promise<T> {
    try {
      return await collecting();
    } catch (error) {
      if (error instanceof TopicUnknownError) this.#reading = undefined;
      throw error;
    }
  }
}
