import type { BoundStatement, PgDatabase } from '@waybill/kernel';
import type { LogSubjectKeys, WrappedKey } from '../cipher/index.js';
import type { LogSignals } from './log-signals.js';
import type { Membership, MembershipOptions } from './membership.js';
import type { Appended, ReadyBatch } from './ready-batch.js';
import type { LoggedPass, SourcePass, SourceState } from './source-pass.js';
import type { Topics } from './topics.js';

/**
 * When an append counts as done: `all`: when it is on the server's disk, and on its synchronous standbys; `1`: when it is on
 * the server's disk. Never before that: readers go on from what they have read, and a crash must not take it back.
 */
export type SynchronousAcks = 'all' | '1';

/** Options of an append. */
export interface AppendOptions {
  /** From {@link LogEngine.nextProducerId}: a batch whose sequence the log has already is not appended twice. */
  readonly producerId?: number;
  /** Default `all`. */
  readonly acks?: SynchronousAcks;
}

/**
 * Makes the statements that append: the last of their transaction, sent together with COMMIT, so that the locks of the
 * partitions are never held across a network round trip. The rows of the last are {@link Appended}, in the order of the
 * batches; before it, the keys of subjects that the batches need are stored in the log.
 * @param batches sorted by `sortForAppend`
 */
export type AppendStatements = (batches: readonly ReadyBatch[]) => readonly BoundStatement[];

/** How the transaction that stores a pass hands it over to the log in the same database. */
export interface HandOverWithin {
  /** The last statements of the transaction. */
  readonly statements: readonly BoundStatement[];
  /**
   * Announces the records. To be called once the transaction has committed.
   * @param results the rows of each of the statements
   */
  committed(results: readonly (readonly unknown[])[]): void;
}

/** Makes the hand-over of a pass. @param batches sorted by `sortForAppend`; they must not change until it is committed */
export type HandOvers = (pass: SourcePass, batches: readonly ReadyBatch[]) => HandOverWithin;

/** Which of the histories of a log. */
export interface LogHistory {
  /** Rises when an operator says that the log has lost a tail. */
  readonly logEpoch: number;
  /**
   * Another one than before when the log's server was started again or replaced: it may have lost a tail without anyone
   * knowing yet, so what was read before is to be compared with it.
   */
  readonly incarnation: number;
}

/** Which log this is, and which of its histories. */
export interface LogIdentity extends LogHistory {
  /** A UUID: another log, or a copy of it that was given an id of its own, has another one. */
  readonly busId: string;
}

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
  /** Tells this batch from another at the same offsets. */
  readonly checksum: number;
  readonly data: Buffer;
}

/** The result of a fetch. */
export interface Fetched {
  /** In each partition in order of offset. */
  readonly batches: FetchedBatch[];
  /** Whether more may already follow. */
  readonly mayHaveMore: boolean;
  /** The history that was read. */
  readonly history: LogHistory;
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
  /** Keys of subjects, for those who read what other services have encrypted, and for erasing. */
  readonly subjectKeys: LogSubjectKeys;

  identity(): Promise<LogIdentity>;

  /**
   * Appends batches, all or none of them. The offsets of a partition grow, in the order of its batches.
   * @param batches sorted by `sortForAppend`
   * @returns the locations, in the order of the batches
   */
  append(batches: readonly ReadyBatch[], options?: AppendOptions): Promise<readonly Appended[]>;

  /** A producer id that this log has never given before. */
  nextProducerId(): Promise<number>;

  /** How a transaction of `database` appends; undefined if the log is not in that database. */
  appendWithin(database: PgDatabase): AppendStatements | undefined;

  /** What the log holds of a service's outbox. */
  askSource(serviceId: string): Promise<SourceState>;

  /**
   * Appends one pass of an outbox: all of its batches or none, and once, however often it is called. Announces its records.
   * @param batches sorted by `sortForAppend`; may be empty
   * @param keys of subjects, as far as the sender has those that the batches need: they take effect with the batches, except
   *   those of erased subjects
   * @throws SourceDivergedError when the log holds another pass of that number; FencedError when passes before it are
   *   missing, it is too old to tell, or the log is in another epoch: then the log is to be asked
   */
  handOver(pass: SourcePass, batches: readonly ReadyBatch[], keys?: readonly WrappedKey[]): Promise<void>;

  /** The error with which the log would refuse a pass with these batches only; undefined if it would take it. Appends nothing. */
  refusalOf(pass: SourcePass, batches: readonly ReadyBatch[]): Promise<unknown>;

  /** How a transaction of `database` hands a pass over; undefined if the log is not in that database. */
  handOverWithin(database: PgDatabase): HandOvers | undefined;

  /** The passes of a service's outbox from a number on, as far as the log remembers them. */
  passesOf(serviceId: string, fromN: number): Promise<readonly LoggedPass[]>;

  /**
   * Fetches the batches from each position on; the first may begin before its position. Partitions with nothing new are
   * absent from the result.
   * @throws OffsetOutOfRangeError when a position is before the oldest record kept, or after the end
   */
  fetch(positions: readonly FetchPosition[], limits?: FetchLimits): Promise<Fetched>;

  /** Start and end of each partition, by partition id. */
  offsets(partitionIds: readonly number[]): Promise<ReadonlyMap<number, PartitionOffsets>>;

  /**
   * By partition id, a checksum of the batch that holds the record before an offset, the same as {@link FetchedBatch.checksum};
   * absent if there is no such batch any more.
   */
  checksumsBelow(positions: readonly FetchPosition[]): Promise<ReadonlyMap<number, number>>;

  /**
   * By partition id, the lowest offset from which records were lost since an epoch of the log; absent if none were. From there
   * on, records are at other offsets now.
   */
  cutsSince(partitionIds: readonly number[], logEpoch: number): Promise<ReadonlyMap<number, number>>;

  /** In each partition, the offset of the first record with this timestamp or a later one; the end if there is none. */
  offsetsAt(partitionIds: readonly number[], timestampMs: number): Promise<ReadonlyMap<number, number>>;

  /** The topics to which the live members of a group subscribe. */
  subscribedTopics(group: string): Promise<ReadonlySet<string>>;

  /** A member of a consumer group; it joins when it is started. */
  join(options: MembershipOptions): Membership;
}
