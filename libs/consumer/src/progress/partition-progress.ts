import { type BoundStatement, bindStatement, type SqlSession } from '@waybill/kernel';
import {
  advance,
  beginProgress,
  chargeCrash,
  clearCharges,
  fence,
  insertMarks,
  readCharges,
  readMarks,
  readPositions,
  rewindProgress,
} from '../statements.generated.js';
import type { Ownership } from './progress-owners.js';

/**
 * The verdict in a record's mark: handled; dead letter; parked; expired; or
 * dropped.
 */
export type Verdict = 'done' | 'dead' | 'parked' | 'expired' | 'dropped';

const VERDICT_NUMBER: Readonly<Record<Verdict, number>> = {
  done: 1,
  dead: 2,
  parked: 3,
  expired: 4,
  dropped: 5,
};

/** A group's progress in a partition, as a new owner reads it. */
export interface StoredProgress {
  /** Every offset below it is done; undefined if the group has never stored a position. */
  readonly position: number | undefined;
  /** The epoch of the log in which the position was stored. */
  readonly logEpoch: number;
  /** Of the batch that holds the record before the position; undefined if not known. */
  readonly checksum: number | undefined;
  /** Records from the position up to here may have been begun by an owner that crashed. */
  readonly inFlightEnd: number;
  /** Offsets at or above the position that have a verdict. */
  readonly marked: ReadonlySet<number>;
  /** How often records were begun alone after a crash, by offset. */
  readonly charges: ReadonlyMap<number, number>;
}

/** A group's progress in partitions, by partition id. Uses a fixed number of statements. */
export async function loadProgress(
  session: SqlSession,
  groupId: number,
  partitionIds: readonly number[],
): Promise<ReadonlyMap<number, StoredProgress>> {
  const rows = await session.run(readPositions, groupId, partitionIds);
  const stored = new Map(rows.map((row) => [row.partitionId, row]));
  const from = partitionIds.map((id) => stored.get(id)?.position ?? 0);
  const progress = new Map(
    partitionIds.map((id) => {
      const { position, inFlightEnd = 0, logEpoch = 0, checksum } = stored.get(id) ?? {};
      const marked = new Set<number>();
      const charges = new Map<number, number>();
      return [id, { position, inFlightEnd, logEpoch, checksum: checksum ?? undefined, marked, charges }];
    }),
  );
  for (const { partitionId, offset } of await session.run(readMarks, groupId, partitionIds, from))
    progress.get(partitionId)?.marked.add(offset);
  for (const row of await session.run(readCharges, groupId, partitionIds, from))
    progress.get(row.partitionId)?.charges.set(row.offset, row.charges);
  return progress;
}

/** A partition that a group begins to consume, and the offset. */
export interface FirstPosition {
  readonly ownership: Ownership;
  readonly position: number;
}

/**
 * The statement that stores where a group begins in partitions, under the fence of each; to be sent last.
 * It stores all of them or, if one has another owner or is locked, none.
 */
export function advanceTogether(
  groupId: number,
  firsts: readonly FirstPosition[],
  logEpoch: number,
): BoundStatement {
  return bindStatement(
    beginProgress,
    groupId,
    firsts.map(({ ownership }) => ownership.partitionId),
    firsts.map(({ ownership }) => ownership.ownerEpoch),
    firsts.map(({ position }) => position),
    logEpoch,
    firsts.map(({ ownership }) => ownership.incarnation),
  );
}

/** An owner's writes for one partition; each is fenced by the owner's epoch. */
export class PartitionProgress {
  constructor(
    private readonly groupId: number,
    readonly ownership: Ownership,
    /** The epoch of the log in which the records are read. */
    readonly logEpoch: number,
  ) {}

  /**
   * Stores a position, and fences; to be sent last.
   * @param checksum of the batch that holds the record before the position, if known
   */
  advance(position: number, inFlightEnd: number, checksum: number | undefined): BoundStatement {
    const { groupId, logEpoch } = this;
    const { partitionId, ownerEpoch, incarnation } = this.ownership;
    return bindStatement(
      advance,
      groupId,
      partitionId,
      ownerEpoch,
      position,
      inFlightEnd,
      logEpoch,
      checksum ?? null,
      incarnation,
    );
  }

  /** Goes on in this epoch of the log, of which everything from the cut on is new to the group; to be sent last. */
  rewind(cut: number): BoundStatement {
    const { groupId, logEpoch } = this;
    const { partitionId, ownerEpoch, incarnation } = this.ownership;
    return bindStatement(rewindProgress, groupId, partitionId, ownerEpoch, logEpoch, cut, incarnation);
  }

  /** Writes marks of records; to be followed by {@link fence} or {@link advance}. */
  mark(offsets: readonly number[], verdict: Verdict): BoundStatement {
    return bindStatement(
      insertMarks,
      this.groupId,
      this.ownership.partitionId,
      offsets,
      VERDICT_NUMBER[verdict],
    );
  }

  /** Raises FencedError unless this owner still has the partition; to be sent last. */
  fence(): BoundStatement {
    const { partitionId, ownerEpoch, incarnation } = this.ownership;
    return bindStatement(fence, this.groupId, partitionId, ownerEpoch, incarnation);
  }

  /** Notes that a record is begun alone, and returns how often that has been; to be followed by {@link fence}. */
  charge(offset: number): BoundStatement {
    return bindStatement(chargeCrash, this.groupId, this.ownership.partitionId, offset);
  }

  /** Clears the charges of a record that has ended; to be followed by {@link fence}. */
  clearCharges(offset: number): BoundStatement {
    return bindStatement(clearCharges, this.groupId, this.ownership.partitionId, offset);
  }
}
