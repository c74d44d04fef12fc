import { LogWentBackError } from '@waybill/kernel';
import type { LogEngine, PartitionOffsets } from '@waybill/log';

/** Where a group is in a partition, and what it has read before that. */
export interface ReadPlace {
  readonly partitionId: number;
  /** The next offset to read. */
  readonly offset: number;
  /** Of the batch that holds the record before it; undefined if not known. */
  readonly checksum: number | undefined;
}

type Log = Pick<LogEngine, 'checksumsBelow' | 'topics'>;

/**
 * Compares what a group has read with what the log holds. A log that was restored, or has failed over to a replica that was
 * behind, lacks records that the group has handled, or holds others at their offsets: a reader that went on there would miss
 * records without an error.
 * @param offsets of the log, read after the places
 * @returns by partition id: an error where the log went back
 */
export async function differencesFrom(
  log: Log,
  group: string,
  places: readonly ReadPlace[],
  offsets: ReadonlyMap<number, PartitionOffsets>,
): Promise<ReadonlyMap<number, LogWentBackError>> {
  const differences = new Map<number, LogWentBackError>();
  const known = places.filter(({ checksum }) => checksum !== undefined);
  const checksums = known.length === 0 ? new Map<number, number>() : await log.checksumsBelow(known);
  for (const { partitionId, offset, checksum } of places) {
    const { endOffset = offset } = offsets.get(partitionId) ?? {};
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

/** A position that a group has stored, with the checksum of the batch that holds the record before it. */
export interface StoredPlace {
  readonly position: number;
  readonly checksum: number;
}

/**
 * The highest of a group's positions up to which the log holds what the group has read; undefined if it is none of them. A
 * log that went back agrees up to some offset, and differs from there on: so half of them are ruled out by each look. What
 * retention has removed cannot be compared, and is not what was lost.
 * @param places ascending
 */
export async function lastAgreed(
  log: Pick<LogEngine, 'checksumsBelow' | 'offsets'>,
  partitionId: number,
  places: readonly StoredPlace[],
): Promise<number | undefined> {
  const { startOffset = 0 } = (await log.offsets([partitionId])).get(partitionId) ?? {};
  let agreed = -1;
  let differs = places.length;
  while (differs - agreed > 1) {
    const middle = (agreed + differs) >> 1;
    const { position: offset, checksum } = places[middle] as StoredPlace;
    const there = (await log.checksumsBelow([{ partitionId, offset }])).get(partitionId);
    if (there === checksum || offset <= startOffset) agreed = middle;
    else differs = middle;
  }
  return places[agreed]?.position;
}
