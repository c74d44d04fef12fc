import { LogWentBackError } from '@waybill/kernel';
import type { LogEngine } from '@waybill/log';

/** Where a group is in a partition, and what it has read before that. */
export interface ReadPlace {
  readonly partitionId: number;
  /** The next offset to read. */
  readonly offset: number;
  /** Of the batch that holds the record before it; undefined if not known. */
  readonly checksum: number | undefined;
}

/**
 * Compares what a group has read with what the log holds. A log that was restored, or has failed over to a replica that was
 * behind, lacks records that the group has handled, or holds others at their offsets: whoever read on there would miss
 * records without an error.
 * @returns by partition id: an error where the log went back
 */
export async function differencesFrom(
  log: Pick<LogEngine, 'offsets' | 'checksumsBelow' | 'topics'>,
  group: string,
  places: readonly ReadPlace[],
): Promise<ReadonlyMap<number, LogWentBackError>> {
  const differences = new Map<number, LogWentBackError>();
  const known = places.filter(({ checksum }) => checksum !== undefined);
  const ends = await log.offsets(places.map(({ partitionId }) => partitionId));
  const checksums = known.length === 0 ? new Map<number, number>() : await log.checksumsBelow(known);
  for (const { partitionId, offset, checksum } of places) {
    const { endOffset = offset } = ends.get(partitionId) ?? {};
    const there = checksums.get(partitionId);
    const isOther = checksum !== undefined && there !== undefined && there !== checksum;
    if (offset <= endOffset && !isOther) continue;
    const { topic, number } = log.topics.locate(partitionId) ?? { topic: '?', number: partitionId };
    const what = isOther
      ? `the log holds another record than group ${group} has read at offset ${offset - 1}`
      : `group ${group} has read up to offset ${offset}, and the log ends at ${endOffset}`;
    differences.set(partitionId, new LogWentBackError(`In ${topic}[${number}], ${what}`));
  }
  return differences;
}
