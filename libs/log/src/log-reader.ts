import { InvariantError, OffsetOutOfRangeError, type PgConnection, type PgDatabase } from '@waybill/kernel';
import { patchBaseOffset } from './record/index.js';
import { readOffsets, readSegments } from './statements.generated.js';
import type { Topics } from './topics.js';

/** Where to read from, in one partition. */
export interface FetchPosition {
  readonly partitionId: number;
  readonly offset: number;
}

/** A record batch as it was fetched, its offsets patched in. */
export interface FetchedBatch {
  readonly partitionId: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** The bucket of the log's ring that it lies in. */
  readonly bucketSeq: number;
  readonly data: Buffer;
}

/** Where a partition's log starts and ends; the end is the offset that the next record will get. */
export interface PartitionOffsets {
  readonly startOffset: number;
  readonly endOffset: number;
}

interface Segment {
  readonly bucketSeq: number;
  readonly slot: number;
  readonly firstOffset: number;
}

/** Bytes that a fetch aims at for each partition. */
const FETCH_BYTES = 1024 * 1024;
const MOST_BATCHES = 64;

/**
 * Reads record batches from the log. Each partition is read from one bucket at a time, by the map of buckets, which
 * is read again when a bucket has been opened or emptied since.
 */
export class LogReader {
  readonly #segments = new Map<number, Segment[]>();
  readonly #averageBytes = new Map<number, number>();

  constructor(
    private readonly database: PgDatabase,
    private readonly topics: Topics,
  ) {}

  /** Start and end of each partition, by partition id. */
  async offsets(partitionIds: readonly number[]): Promise<Map<number, PartitionOffsets>> {
    const rows = await this.database.session.run(readOffsets, partitionIds);
    return new Map(
      rows.map(({ partitionId, startOffset, endOffset }) => [partitionId, { startOffset, endOffset }]),
    );
  }

  /**
   * Fetches the batches from each position on, about a megabyte for each partition; the first may begin before its
   * position. Partitions with nothing new are absent from the result.
   *
   * @throws OffsetOutOfRangeError when a position lies before the oldest record kept, or after the end
   */
  async fetch(positions: readonly FetchPosition[]): Promise<FetchedBatch[]> {
    if (positions.length === 0) return [];
    return this.database.withConnection(async (connection) => {
      const batches: FetchedBatch[] = [];
      let asked = positions;
      // Once by the map that is known and, where the ring has turned since, again by a new one.
      for (let round = 0; asked.length > 0 && round < 3; round += 1) {
        const { found, stale } = await this.#fetchOnce(connection, asked);
        batches.push(...found);
        if (stale.length > 0) await this.#readMap(connection, stale);
        asked = stale.filter(({ partitionId }) => !found.some((batch) => batch.partitionId === partitionId));
      }
      return batches;
    });
  }

  /**
   * Checks that a position can be read from.
   * @throws OffsetOutOfRangeError
   */
  assertInRange(position: FetchPosition, { startOffset, endOffset }: PartitionOffsets): void {
    if (position.offset >= startOffset && position.offset <= endOffset) return;
    const place = this.topics.locate(position.partitionId) ?? { topic: '?', number: position.partitionId };
    throw new OffsetOutOfRangeError(place.topic, place.number, position.offset, startOffset, endOffset);
  }

  async #fetchOnce(
    connection: PgConnection,
    positions: readonly FetchPosition[],
  ): Promise<{ found: FetchedBatch[]; stale: FetchPosition[] }> {
    const found: FetchedBatch[] = [];
    const newest = new Map<number, number>();
    let oldestBucket = 0;
    await connection.copyOut(copyText(positions.flatMap((position) => this.#selectFrom(position))), (row) => {
      const partitionId = readInteger(row, 6, 4);
      const first = readInteger(row, 14, 8);
      const last = readInteger(row, 26, 8);
      const bucketSeq = readInteger(row, 38, 8);
      if (partitionId === -1) oldestBucket = bucketSeq;
      else if (row.readInt32BE(46) === -1) newest.set(partitionId, bucketSeq);
      else {
        // The driver uses its buffer again; a batch must outlive it.
        const data = Buffer.from(row.subarray(50));
        patchBaseOffset(data, first, 0);
        found.push({ partitionId, baseOffset: first, lastOffset: last, bucketSeq, data });
      }
    });
    this.#learnSizes(found);
    const stale = positions.filter(({ partitionId }) => {
      const segments = this.#segments.get(partitionId);
      const oldestKnown = segments?.[0]?.bucketSeq ?? oldestBucket;
      return segments?.at(-1)?.bucketSeq !== newest.get(partitionId) || oldestKnown < oldestBucket;
    });
    return { found, stale };
  }

  #selectFrom({ partitionId, offset }: FetchPosition): string[] {
    const newest = `(select ${checked(partitionId)}, 0::bigint, 0::bigint, bucket_seq, null
          from :schema.log_segment where partition_id = ${checked(partitionId)}
         order by bucket_seq desc limit 1)`;
    const segments = this.#segments.get(partitionId);
    const segment = segments?.findLast(({ firstOffset }) => firstOffset <= offset) ?? segments?.[0];
    if (segment === undefined) return [newest];
    const average = this.#averageBytes.get(partitionId) ?? FETCH_BYTES / 16;
    const limit = Math.max(1, Math.min(MOST_BATCHES, Math.ceil(FETCH_BYTES / average)));
    return [
      newest,
      `(select partition_id, base_offset, last_offset, ${checked(segment.bucketSeq)}::bigint, data
          from :schema.log_batch
         where slot = ${checked(segment.slot)} and partition_id = ${checked(partitionId)}
           and last_offset >= ${checked(offset)}
         order by last_offset limit ${checked(limit)})`,
    ];
  }

  #learnSizes(batches: readonly FetchedBatch[]): void {
    for (const { partitionId, data } of batches) {
      const before = this.#averageBytes.get(partitionId) ?? data.length;
      this.#averageBytes.set(partitionId, Math.max(1, before * 0.8 + data.length * 0.2));
    }
  }

  async #readMap(connection: PgConnection, positions: readonly FetchPosition[]): Promise<void> {
    const ids = positions.map(({ partitionId }) => partitionId);
    const rows = await connection.run(readSegments, ids);
    for (const id of ids) this.#segments.set(id, []);
    for (const { partitionId, ...segment } of rows) this.#segments.get(partitionId)?.push(segment);
    const offsets = await connection.run(readOffsets, ids);
    for (const { partitionId, startOffset, endOffset } of offsets) {
      const position = positions.find((candidate) => candidate.partitionId === partitionId);
      if (position !== undefined) this.assertInRange(position, { startOffset, endOffset });
    }
  }
}

/**
 * The first row tells the oldest bucket, a row without data the newest bucket of its partition; the batches follow.
 * COPY takes no parameters: only checked integers stand in its text.
 */
function copyText(parts: readonly string[]): string {
  const oldest = `select -1::integer, 0::bigint, 0::bigint, min(seq), null::bytea from :schema.log_bucket`;
  return `copy (${[oldest, ...parts].join('\nunion all\n')}) to stdout (format binary)`;
}

function checked(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new InvariantError(`${value} is no offset or id`);
  return String(value);
}

/** An integer column of a binary row, `bytes` long, at byte `at`. */
function readInteger(row: Buffer, at: number, bytes: 4 | 8): number {
  return bytes === 4 ? row.readInt32BE(at) : row.readInt32BE(at) * 4_294_967_296 + row.readUInt32BE(at + 4);
}
