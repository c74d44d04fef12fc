import { type BoundStatement, bindStatement } from '@waybill/kernel';
import { appendRecords } from '../statements.generated.js';

/** A record batch, ready to be appended to a partition. */
export interface ReadyBatch {
  readonly partitionId: number;
  readonly recordCount: number;
  readonly maxTimestampMs: number;
  /** Sequence of its first record under its producer; -1 without one. */
  readonly baseSequence: number;
  readonly data: Buffer;
}

/** The location of the first record of each batch, in the order of the batches given to {@link appendCall}. */
export interface Appended {
  readonly partitionId: number;
  readonly baseOffset: number;
}

/** When an append counts as done: `all`: after the server's flush to disk; `1`: after its commit in memory. */
export type SynchronousAcks = 1 | 'all';

/** Sorts batches for {@link appendCall}: partitions ascending, so that locks are taken in one order. */
export function sortForAppend(batches: readonly ReadyBatch[]): ReadyBatch[] {
  return batches.toSorted((a, b) => a.partitionId - b.partitionId);
}

/**
 * The statement that appends: the last of its transaction, sent together with COMMIT, so that the locks of
 * the partitions are never held across a network round trip.
 *
 * @param batches sorted by {@link sortForAppend}
 */
export function appendCall(
  batches: readonly ReadyBatch[],
  producerId: number,
  acks: SynchronousAcks,
): BoundStatement {
  return bindStatement(
    appendRecords,
    batches.map((batch) => batch.partitionId),
    batches.map((batch) => batch.recordCount),
    batches.map((batch) => batch.data.length),
    batches.map((batch) => batch.maxTimestampMs),
    batches.map((batch) => batch.baseSequence),
    batches.length === 1
      ? (batches[0] as ReadyBatch).data
      : Buffer.concat(batches.map((batch) => batch.data)),
    producerId,
    acks === 'all' ? 'on' : 'off',
  );
}
