import type { SqlSession } from '@waybill/kernel';
import { readLag } from '../statements.generated.js';

/** A group's lag in one partition. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** Every offset below it is done. */
  readonly position: number;
  /** The offset that the next record will get. */
  readonly endOffset: number;
  /** The records between the two, including those above the position that are already done. */
  readonly lag: number;
}

/** A group's lag in each partition that it owns or has owned. */
export async function groupLag(session: SqlSession, group: string): Promise<PartitionLag[]> {
  const rows = await session.run(readLag, group);
  return rows.map(({ topic, number, position, endOffset }) => ({
    topic,
    partition: number,
    position,
    endOffset,
    lag: endOffset - position,
  }));
}
