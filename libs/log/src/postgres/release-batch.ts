import type { SqlSession } from '@waybill/kernel';
import { releasePartition, releasePartitions } from '../statements.generated.js';

/** The most partitions released in one statement. */
const RELEASED_TOGETHER = 500;

interface Batch {
  readonly partitionIds: number[];
  readonly released: Promise<ReadonlySet<number>>;
}

/** Releases a member's partitions: those that end at about the same time, together. */
export class ReleaseBatch {
  #open: Batch | undefined;

  constructor(
    private readonly session: SqlSession,
    private readonly memberId: string,
  ) {}

  /** Releases a partition; waits for a delivery that holds it. */
  async release(groupId: number, partitionId: number): Promise<void> {
    const batch = (this.#open ??= this.#begin(groupId));
    batch.partitionIds.push(partitionId);
    if (batch.partitionIds.length >= RELEASED_TOGETHER) this.#open = undefined;
    const released = await batch.released;
    // A batch waits for no delivery; a single partition skips the batch.
    if (!released.has(partitionId))
      await this.session.run(releasePartition, groupId, partitionId, this.memberId);
  }

  #begin(groupId: number): Batch {
    const partitionIds: number[] = [];
    const run = async (): Promise<ReadonlySet<number>> => {
      await new Promise(setImmediate);
      if (this.#open?.partitionIds === partitionIds) this.#open = undefined;
      if (partitionIds.length === 1) return new Set();
      const rows = await this.session.run(releasePartitions, groupId, partitionIds, this.memberId);
      return new Set(rows.map(({ partitionId }) => partitionId));
    };
    return { partitionIds, released: run() };
  }
}
