import { partitionForKey } from '../record/index.js';

/**
 * Chooses partitions like Kafka's default partitioner: the murmur2 hash of a key determines its partition; records
 * without a key stick to one partition while the caller keeps filling one batch, then move on.
 */
export class Partitioner {
  readonly #sticky = new Map<string, number>();

  /** @returns the partition's number, from 0 */
  choose(topic: string, key: Uint8Array | null, partitions: number): number {
    if (key !== null) return partitionForKey(key, partitions);
    return (this.#sticky.get(topic) ?? 0) % partitions;
  }

  /** Moves records without a key on to the next partition of every topic. */
  nextBatch(): void {
    for (const [topic, number] of this.#sticky) this.#sticky.set(topic, number + 1);
  }

  /** Includes a topic in the rotation. */
  know(topic: string): void {
    if (!this.#sticky.has(topic)) this.#sticky.set(topic, 0);
  }
}
