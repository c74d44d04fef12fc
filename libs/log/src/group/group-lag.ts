import type { SqlSession } from '@waybill/kernel';
import { oldestBucket, readLag } from '../statements.generated.js';

/** How far a group is behind in one partition. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** Every offset below is done. */
  readonly position: number;
  /** The offset that the next record will get. */
  readonly endOffset: number;
  /** Records between the two. Those above the position that are done already are counted as well. */
  readonly lag: number;
}

/** How far a group is behind in each partition that it owns or has owned. */
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

/** The oldest bucket that the log still holds: nothing that lies in an older one can be delivered again. */
export async function oldestBucketSeq(session: SqlSession): Promise<number> {
  const [row] = await session.run(oldestBucket);
  return row?.bucketSeq ?? 0;
}
