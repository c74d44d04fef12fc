/** A record batch, ready to be appended to a partition. */
export interface ReadyBatch {
  readonly partitionId: number;
  readonly recordCount: number;
  readonly maxTimestampMs: number;
  /** Sequence of its first record under its producer; -1 without one. */
  readonly baseSequence: number;
  readonly data: Buffer;
  /** The ids of the subjects' keys that its records were encrypted with. Default: none. */
  readonly subjectKeyIds?: readonly string[];
}

/** The location of a batch's first record. */
export interface Appended {
  readonly partitionId: number;
  readonly baseOffset: number;
}

/** The ids of all subjects' keys that the records of some batches were encrypted with. */
export function subjectKeyIdsOf(batches: readonly ReadyBatch[]): string[] {
  return [...new Set(batches.flatMap(({ subjectKeyIds = [] }) => subjectKeyIds))];
}

/** Sorts batches for appending: partitions ascending, so that locks are taken in one order. */
export function sortForAppend(batches: readonly ReadyBatch[]): ReadyBatch[] {
  return batches.toSorted((a, b) => a.partitionId - b.partitionId);
}
