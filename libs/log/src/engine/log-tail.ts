import type { Clock } from '@waybill/kernel';
import { checksumOf, patchBaseOffset } from '../record/index.js';
import type { Fetched, FetchedBatch, FetchPosition, LogHistory } from './log-engine.js';

/** How much of the log a process keeps, in bytes. */
const TAIL_BYTES = 4 * 1024 * 1024;
/** A larger batch is not kept. */
const BATCH_BYTES = 512 * 1024;
/** How long a process relies on having been told of all records, in milliseconds; then the log is read again. */
const TRUSTED_MS = 200;
/** A partition that nobody in the process has read for this long is not kept, in milliseconds. */
const UNREAD_MS = 10_000;

/** What {@link LogTail} needs to know about announcements of records. */
export interface TailNews {
  /** Whether announcements of other processes have proven to be received. */
  readonly listening: boolean;
  /** Grows with each announcement of records that are not in the tail. */
  readonly news: number;
}

/** What a process knows about a partition that it reads. */
interface Partition {
  /** Contiguous batches that this process has appended. */
  batches: FetchedBatch[];
  /** The end of the log, as it was when there had been this much news; undefined if not known. */
  end: { readonly offset: number; readonly at: number; readonly news: number } | undefined;
  readAt: number;
}

/** A batch that was appended, before its offsets are patched in. */
export type AppendedBatch = Omit<FetchedBatch, 'checksum'>;

/** What was known before the log was read. */
export interface ReadMark {
  readonly at: number;
  readonly news: number;
}

/**
 * The newest records of a log that this process has appended itself, so that its readers get them from memory, without
 * asking the log. Only what the log has confirmed as committed gets in. Only partitions are kept that the process reads, and
 * whose reader is near the end.
 */
export class LogTail {
  readonly #partitions = new Map<number, Partition>();
  /** All batches, oldest first. */
  #kept: FetchedBatch[] = [];
  #bytes = 0;
  #history: LogHistory | undefined;

  constructor(
    private readonly announced: TailNews,
    private readonly clock: Clock,
  ) {}

  /** Whether any partition is read in this process. */
  get isRead(): boolean {
    return this.#partitions.size > 0;
  }

  /** To be called before the log is read; see {@link learn}. */
  mark(): ReadMark {
    return { at: this.clock.monotonic(), news: this.announced.news };
  }

  /** Adds batches that are committed, in the order of their offsets. */
  add(batches: readonly AppendedBatch[], history: LogHistory): void {
    this.#follow(history);
    for (const batch of batches) {
      const partition = this.#partitions.get(batch.partitionId);
      if (partition === undefined) continue;
      if (this.clock.monotonic() - partition.readAt > UNREAD_MS) this.#forget(batch.partitionId);
      else this.#append(partition, batch);
    }
  }

  #append(partition: Partition, batch: AppendedBatch): void {
    const last = partition.batches.at(-1);
    const isAtEnd = partition.end?.offset === batch.baseOffset;
    // Others have appended in between: the readers have to ask.
    if (!isAtEnd) partition.end = undefined;
    else if (partition.end !== undefined)
      partition.end = { ...partition.end, offset: batch.lastOffset + 1, at: this.clock.monotonic() };
    const follows = last === undefined ? isAtEnd : last.lastOffset + 1 === batch.baseOffset;
    if (!follows || batch.data.length > BATCH_BYTES) return this.#clear(partition);
    const kept = asFetched(batch);
    partition.batches.push(kept);
    this.#kept.push(kept);
    this.#bytes += batch.data.length;
    while (this.#bytes > TAIL_BYTES) this.#evict();
  }

  /**
   * The batches that are kept, for each position whose next record is among them.
   * @returns also the positions for which the log has to be asked
   */
  take(
    positions: readonly FetchPosition[],
    partitionBytes: number,
  ): { readonly fetched: Fetched | undefined; readonly asked: FetchPosition[] } {
    const found: FetchedBatch[] = [];
    const asked: FetchPosition[] = [];
    let mayHaveMore = false;
    for (const position of positions) {
      const partition = this.#partitions.get(position.partitionId);
      if (partition !== undefined) partition.readAt = this.clock.monotonic();
      const kept = keptFrom(partition?.batches ?? [], position.offset);
      if (kept.length === 0 && !this.#isAtEnd(partition, position.offset)) asked.push(position);
      let bytes = 0;
      for (const batch of kept) {
        if (bytes > 0 && bytes + batch.data.length > partitionBytes) {
          mayHaveMore = true;
          break;
        }
        bytes += batch.data.length;
        found.push(batch);
      }
    }
    const history = this.#history;
    if (history === undefined) return { fetched: undefined, asked: [...positions] };
    return { fetched: { batches: found, mayHaveMore, history }, asked };
  }

  /** Notes what the log has answered. @param before taken before it was asked */
  learn(positions: readonly FetchPosition[], fetched: Fetched, before: ReadMark): void {
    this.#follow(fetched.history);
    const ends = new Map(fetched.batches.map(({ partitionId, lastOffset }) => [partitionId, lastOffset + 1]));
    for (const { partitionId, offset } of positions) {
      const partition = this.#partitions.get(partitionId) ?? newPartition();
      this.#partitions.set(partitionId, partition);
      partition.readAt = before.at;
      // A reader that is far behind does not need the tail.
      if (fetched.mayHaveMore) {
        partition.end = undefined;
        this.#clear(partition);
      } else partition.end = { ...before, offset: ends.get(partitionId) ?? offset };
    }
  }

  /** Whether a reader has read all that there is, as far as this process can know. */
  #isAtEnd(partition: Partition | undefined, offset: number): boolean {
    const end = partition?.end;
    return (
      end !== undefined &&
      end.offset === offset &&
      end.news === this.announced.news &&
      this.announced.listening &&
      this.clock.monotonic() - end.at <= TRUSTED_MS
    );
  }

  /** Another history may hold other records at the same offsets. */
  #follow(history: LogHistory): void {
    const { logEpoch, incarnation } = this.#history ?? history;
    this.#history = history;
    if (logEpoch === history.logEpoch && incarnation === history.incarnation) return;
    for (const partitionId of this.#partitions.keys()) this.#forget(partitionId);
  }

  #forget(partitionId: number): void {
    const partition = this.#partitions.get(partitionId);
    this.#partitions.delete(partitionId);
    if (partition !== undefined) this.#clear(partition);
  }

  #clear(partition: Partition): void {
    if (partition.batches.length === 0) return;
    const gone = new Set(partition.batches);
    partition.batches = [];
    this.#kept = this.#kept.filter((batch) => !gone.has(batch));
    for (const { data } of gone) this.#bytes -= data.length;
  }

  #evict(): void {
    const oldest = this.#kept.shift();
    if (oldest === undefined) return;
    this.#bytes -= oldest.data.length;
    this.#partitions.get(oldest.partitionId)?.batches.shift();
  }
}

/** A copy: the bytes of a pass share their memory with others. */
function asFetched({
  partitionId,
  baseOffset,
  lastOffset,
  bucketSeq,
  data: bytes,
}: AppendedBatch): FetchedBatch {
  const data = Buffer.from(bytes);
  patchBaseOffset(data, baseOffset, 0);
  return { partitionId, baseOffset, lastOffset, bucketSeq, checksum: checksumOf(data), data };
}

/** The batches from an offset on; none if its own is not among them. */
function keptFrom(batches: readonly FetchedBatch[], offset: number): readonly FetchedBatch[] {
  const before = batches.findLastIndex(({ lastOffset }) => lastOffset < offset);
  const first = batches[before + 1];
  return first === undefined || first.baseOffset > offset ? [] : batches.slice(before + 1);
}

function newPartition(): Partition {
  return { batches: [], end: undefined, readAt: 0 };
}
