/** One pass of a service's outbox, as the log knows it. */
export interface SourcePass {
  /** The service's id. */
  readonly serviceId: string;
  /** The log's epoch, as the sender knows it: an append for another epoch is refused. */
  readonly logEpoch: number;
  /** From 1, without gaps. */
  readonly n: number;
  /** A random UUID: a number alone does not say which pass it is, when a database went back. */
  readonly token: string;
  /** The token of the pass before; null for the first. */
  readonly tokenBefore: string | null;
}

/** What a log holds of a source. */
export interface SourceState {
  readonly busId: string;
  readonly logEpoch: number;
  /** The newest pass; 0 if the log holds none. */
  readonly n: number;
  readonly token: string | null;
}

/** A pass that the log holds, and where its records are. */
export interface LoggedPass {
  readonly n: number;
  readonly token: string;
  /** For each of its batches: the partition, and the offsets of the first and the last record. */
  readonly partitionIds: readonly number[];
  readonly baseOffsets: readonly number[];
  readonly lastOffsets: readonly number[];
}
