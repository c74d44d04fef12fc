import { type BoundStatement, bindStatement, type SqlSession } from '@waybill/kernel';
import type { Ownership } from './group-membership.js';
import {
  advance,
  chargeCrash,
  clearCharges,
  fence,
  insertMarks,
  readCharges,
  readMarks,
  readPosition,
} from './statements.generated.js';

/**
 * What a record's mark says: its handler is done with it; it is a dead letter; it waits beside the log; it expired or
 * was dropped, and nothing follows.
 */
export type Verdict = 'done' | 'dead' | 'parked' | 'expired' | 'dropped';

const VERDICT_NUMBER: Readonly<Record<Verdict, number>> = {
  done: 1,
  dead: 2,
  parked: 3,
  expired: 4,
  dropped: 5,
};

/** Where a group stands in a partition, as a new owner finds it. */
export interface StoredProgress {
  /** Every offset below is done; undefined when the group has never stored one. */
  readonly position: number | undefined;
  /** Records from the position up to here may have been begun by an owner that did not end well. */
  readonly inFlightEnd: number;
  /** Offsets at or above the position that have a verdict. */
  readonly marked: ReadonlySet<number>;
  /** How often records were begun alone after a crash, by offset. */
  readonly charges: ReadonlyMap<number, number>;
}

/** One member's writes for one partition that it owns; every one of them is fenced by the owner's epoch. */
export class PartitionProgress {
  constructor(
    private readonly groupId: number,
    private readonly memberId: string,
    readonly ownership: Ownership,
  ) {}

  async load(session: SqlSession): Promise<StoredProgress> {
    const { partitionId } = this.ownership;
    const [row] = await session.run(readPosition, this.groupId, partitionId);
    const from = row?.position ?? 0;
    const marks = await session.run(readMarks, this.groupId, partitionId, from);
    const charges = await session.run(readCharges, this.groupId, partitionId, from);
    return {
      position: row?.position,
      inFlightEnd: row?.inFlightEnd ?? 0,
      marked: new Set(marks.map(({ offset }) => offset)),
      charges: new Map(charges.map((charge) => [charge.offset, charge.charges])),
    };
  }

  /** Stores a position, and fences: a last statement. */
  advance(position: number, inFlightEnd: number): BoundStatement {
    const { partitionId, ownerEpoch } = this.ownership;
    return bindStatement(
      advance,
      this.groupId,
      partitionId,
      this.memberId,
      ownerEpoch,
      position,
      inFlightEnd,
    );
  }

  /** Marks records; to be followed by {@link fence} or {@link advance}. */
  mark(offsets: readonly number[], verdict: Verdict): BoundStatement {
    return bindStatement(
      insertMarks,
      this.groupId,
      this.ownership.partitionId,
      offsets,
      VERDICT_NUMBER[verdict],
    );
  }

  /** Raises FencedError unless the partition is still this member's: a last statement. */
  fence(): BoundStatement {
    const { partitionId, ownerEpoch } = this.ownership;
    return bindStatement(fence, this.groupId, partitionId, this.memberId, ownerEpoch);
  }

  /** Notes that a record is begun alone, and returns how often that has been; to be followed by {@link fence}. */
  charge(offset: number): BoundStatement {
    return bindStatement(chargeCrash, this.groupId, this.ownership.partitionId, offset);
  }

  /** Forgets what a record was charged with, for it has ended; to be followed by {@link fence}. */
  clearCharges(offset: number): BoundStatement {
    return bindStatement(clearCharges, this.groupId, this.ownership.partitionId, offset);
  }
}
