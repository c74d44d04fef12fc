import type { BoundStatement, PgDatabase } from '@waybill/kernel';
import type { LogSignals } from './log-signals.js';
import type { Membership, MembershipOptions } from './membership.js';
import type { Appended, ReadyBatch } from './ready-batch.js';
import type { Topics } from './topics.js';

/** When an append counts as done: `all`: after the server's flush to disk; `1`: once the server has it in memory. */
export type SynchronousAcks = 'all' | '1';

/** Options of an append. */
export interface AppendOptions {
  /** From {@link LogEngine.nextProducerId}: a batch whose sequence the log has already is not appended twice. */
  readonly producerId?: number;
  /** Default `all`. */
  readonly acks?: SynchronousAcks;
}

/**
 * Makes the statement that appends: the last of its transaction, sent together with COMMIT, so that the locks of the
 * partitions are never held across a network round trip. Its rows are {@link Appended}, in the order of the batches.
 * @param batches sorted by `sortForAppend`
 */
export type AppendStatement = (batches: readonly ReadyBatch[]) => BoundStatement;

/** An offset to read from, in one partition. */
export interface FetchPosition {
  readonly partitionId: number;
  readonly offset: number;
}

/** Limits of a fetch. */
export interface FetchLimits {
  /** About how many bytes to fetch of each partition; at least one batch. Default 1 MiB. */
  readonly partitionBytes?: number;
}

/** A fetched record batch, with its offsets patched in. */
export interface FetchedBatch {
  readonly partitionId: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** The part of the log that is removed as a whole, and contains the batch: its number. */
  readonly bucketSeq: number;
  readonly data: Buffer;
}

/** The result of a fetch. */
export interface Fetched {
  /** In each partition in order of offset. */
  readonly batches: FetchedBatch[];
  /** Whether more may already follow. */
  readonly mayHaveMore: boolean;
}

/** Where a partition's log starts and ends; the end is the offset that the next record will get. */
export interface PartitionOffsets {
  readonly startOffset: number;
  readonly endOffset: number;
}

/**
 * The log, as everything above it sees it: topics, records in partitions, and groups that share the partitions. Nothing
 * above knows which engine it is. What a group has done (positions, marks, parked messages) is not the log's: it belongs
 * to the service's database. `@waybill/testing/log-engine` says what every engine must do.
 */
export interface LogEngine {
  readonly topics: Topics;
  readonly signals: LogSignals;

  /** Identifies the log: another one, or a copy of it, has another identity. */
  identity(): Promise<string>;

  /**
   * Appends batches, all or none of them. The offsets of a partition grow, in the order of its batches.
   * @param batches sorted by `sortForAppend`
   * @returns the locations, in the order of the batches
   */
  append(batches: readonly ReadyBatch[], options?: AppendOptions): Promise<readonly Appended[]>;

  /** A producer id that this log has never given before. */
  nextProducerId(): Promise<number>;

  /** How a transaction of `database` appends; undefined if the log is not in that database. */
  appendWithin(database: PgDatabase): AppendStatement | undefined;

  /**
   * Fetches the batches from each position on; the first may begin before its position. Partitions with nothing new are
   * absent from the result.
   * @throws OffsetOutOfRangeError when a position is before the oldest record kept, or after the end
   */
  fetch(positions: readonly FetchPosition[], limits?: FetchLimits): Promise<Fetched>;

  /** Start and end of each partition, by partition id. */
  offsets(partitionIds: readonly number[]): Promise<ReadonlyMap<number, PartitionOffsets>>;

  /** In each partition, the offset of the first record with this timestamp or a later one; the end if there is none. */
  offsetsAt(partitionIds: readonly number[], timestampMs: number): Promise<ReadonlyMap<number, number>>;

  /** A member of a consumer group; it joins when it is started. */
  join(options: MembershipOptions): Membership;
}
