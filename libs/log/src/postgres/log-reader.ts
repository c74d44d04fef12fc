import { invariant, type PgConnection, type PgDatabase } from '@waybill/kernel';
import { copyInteger } from '@waybill/kernel/internal';
import { assertInRange } from '../engine/assert-in-range.js';
import type {
  Fetched,
  FetchedBatch,
  FetchPosition,
  LogHistory,
  PartitionOffsets,
} from '../engine/log-engine.js';
import type { Topics } from '../engine/topics.js';
import { checksumOf, decodeBatch, patchBaseOffset } from '../record/index.js';
import {
  busIdentity,
  findBatchesAt,
  readChecksums,
  readCuts,
  readOffsets,
  readSegments,
} from '../statements.generated.js';

interface Segment {
  readonly bucketSeq: number;
  readonly slot: number;
  readonly firstOffset: number;
}

/** A position, and the location of its batches. */
interface Wanted extends FetchPosition {
  readonly segment: Segment;
  readonly most: number;
}

/** Placeholder for the bucket number of a partition without buckets. */
const NO_BUCKET = -1;
/** Target size of a fetch for each partition, in bytes. */
export const FETCH_BYTES = 1024 * 1024;
const MOST_BATCHES = 64;

/**
 * Reads record batches from the log. Each partition is read from one bucket at a time, using the map of buckets, which
 * is read again after a bucket has been opened or emptied.
 */
export class LogReader {
  readonly #segments = new Map<number, Segment[]>();
  readonly #averageBytes = new Map<number, number>();

  constructor(
    private readonly database: PgDatabase,
    private readonly topics: Pick<Topics, 'locate'>,
  ) {}

  /** Start and end of each partition, by partition id. */
  async offsets(partitionIds: readonly number[]): Promise<Map<number, PartitionOffsets>> {
    const rows = await this.database.session.run(readOffsets, partitionIds);
    return new Map(
      rows.map(({ partitionId, startOffset, endOffset }) => [partitionId, { startOffset, endOffset }]),
    );
  }

  /** As {@link LogEngine.offsetsAt}. Reads the partition's index from its start: for operators, not for each pass. */
  async offsetsAt(partitionIds: readonly number[], timestampMs: number): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    // The ends first: a record that is appended in between is then found, or is behind the end.
    for (const [partitionId, { endOffset }] of await this.offsets(partitionIds))
      found.set(partitionId, endOffset);
    for (const { partitionId, baseOffset, data } of await this.database.session.run(
      findBatchesAt,
      partitionIds,
      timestampMs,
    )) {
      patchBaseOffset(data, baseOffset, 0);
      for (const record of decodeBatch(data)) {
        if (record.timestampMs < timestampMs) continue;
        found.set(partitionId, record.offset);
        break;
      }
    }
    return found;
  }

  /** As {@link LogEngine.checksumsBelow}. */
  async checksumsBelow(positions: readonly FetchPosition[]): Promise<Map<number, number>> {
    const rows = await this.database.session.run(
      readChecksums,
      positions.map(({ partitionId }) => partitionId),
      positions.map(({ offset }) => offset),
    );
    return new Map(rows.map(({ partitionId, checksum }) => [partitionId, checksum]));
  }

  /** As {@link LogEngine.cutsSince}. */
  async cutsSince(partitionIds: readonly number[], logEpoch: number): Promise<Map<number, number>> {
    const rows = await this.database.session.run(readCuts, partitionIds, logEpoch);
    return new Map(rows.map(({ partitionId, cut }) => [partitionId, cut]));
  }

  /** As {@link LogEngine.fetch}. */
  async fetch(positions: readonly FetchPosition[], partitionBytes: number): Promise<Fetched> {
    return this.database.withConnection(async (connection) => {
      if (positions.length === 0) return this.#nothing(connection);
      const batches: FetchedBatch[] = [];
      let mayHaveMore = false;
      let history: LogHistory | undefined;
      let asked = positions;
      // Once with the known map and, if the ring has turned since, again with a new one.
      for (let round = 0; asked.length > 0 && round < 3; round += 1) {
        const once = await this.#fetchOnce(connection, asked, partitionBytes);
        const { found, stale } = once;
        history ??= once.history;
        // The rounds are on one connection, so of one server; only the epoch may have risen.
        if (once.history.logEpoch !== history.logEpoch)
          return { batches: [], mayHaveMore: true, history: once.history };
        batches.push(...found);
        mayHaveMore ||= once.mayHaveMore || stale.length > 0;
        if (stale.length > 0) await this.#readMap(connection, stale);
        const brought = new Set(found.map(idOf));
        asked = stale.filter(({ partitionId }) => !brought.has(partitionId));
      }
      return { batches, mayHaveMore, history: history ?? (await this.#nothing(connection)).history };
    });
  }

  async #nothing(connection: PgConnection): Promise<Fetched> {
    const [history] = await connection.run(busIdentity);
    invariant(history !== undefined, 'bus_identity returned no row');
    return { batches: [], mayHaveMore: false, history };
  }

  async #fetchOnce(
    connection: PgConnection,
    positions: readonly FetchPosition[],
    partitionBytes: number,
  ): Promise<{ found: FetchedBatch[]; stale: FetchPosition[]; mayHaveMore: boolean; history: LogHistory }> {
    let found: FetchedBatch[] = [];
    const newest = new Map<number, number>();
    let oldestBucket = 0;
    let history: LogHistory | undefined;
    const wanted = positions.flatMap((position) => this.#wanted(position, partitionBytes));
    await connection.copyOut(copyText(positions, wanted), (row) => {
      const partitionId = readInteger(row, 6, 4);
      const first = readInteger(row, 14, 8);
      const last = readInteger(row, 26, 8);
      const bucketSeq = readInteger(row, 38, 8);
      if (partitionId === -1) {
        oldestBucket = bucketSeq;
        history = { logEpoch: first, incarnation: last };
      } else if (row.readInt32BE(46) === -1) newest.set(partitionId, bucketSeq);
      else {
        // The driver reuses its buffer; a batch must outlive it.
        const data = Buffer.from(row.subarray(50));
        patchBaseOffset(data, first, 0);
        const checksum = checksumOf(data);
        found.push({ partitionId, baseOffset: first, lastOffset: last, bucketSeq, checksum, data });
      }
    });
    // A partition has no gaps: if its batches begin after the position, records in between have been emptied.
    const firsts = new Map(found.toReversed().map((batch) => [batch.partitionId, batch.baseOffset]));
    const gaps = new Set(
      positions.filter(({ partitionId, offset }) => (firsts.get(partitionId) ?? 0) > offset).map(idOf),
    );
    found = found.filter(({ partitionId }) => !gaps.has(partitionId));
    this.#learnSizes(found);
    const stale = positions.filter(({ partitionId }) => {
      const segments = this.#segments.get(partitionId);
      const oldestKnown = segments?.[0]?.bucketSeq ?? oldestBucket;
      const newestKnown = segments?.at(-1)?.bucketSeq ?? NO_BUCKET;
      return gaps.has(partitionId) || newestKnown !== newest.get(partitionId) || oldestKnown < oldestBucket;
    });
    const counts = new Map<number, number>();
    for (const { partitionId } of found) counts.set(partitionId, (counts.get(partitionId) ?? 0) + 1);
    const mayHaveMore = wanted.some(
      ({ partitionId, segment, most }) =>
        segment.bucketSeq !== newest.get(partitionId) || (counts.get(partitionId) ?? 0) >= most,
    );
    invariant(history !== undefined, 'a fetch returned no first row');
    return { found, stale, mayHaveMore, history };
  }

  /** The bucket with the batches after a position, and how many to read; none if not known. */
  #wanted({ partitionId, offset }: FetchPosition, partitionBytes: number): Wanted[] {
    const segments = this.#segments.get(partitionId);
    const segment = segments?.findLast(({ firstOffset }) => firstOffset <= offset) ?? segments?.[0];
    if (segment === undefined) return [];
    const average = this.#averageBytes.get(partitionId) ?? FETCH_BYTES / 16;
    const most = Math.max(1, Math.min(MOST_BATCHES, Math.ceil(partitionBytes / average)));
    return [{ partitionId, offset, segment, most }];
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
    const asked = new Map(positions.map((position) => [position.partitionId, position]));
    for (const { partitionId, startOffset, endOffset } of offsets) {
      const position = asked.get(partitionId);
      if (position !== undefined) assertInRange(this.topics, position, { startOffset, endOffset });
    }
  }
}

function idOf({ partitionId }: { readonly partitionId: number }): number {
  return partitionId;
}

/**
 * The first row holds the log's epoch, when its server was started, and the oldest bucket; a row without data the newest bucket of each partition; the batches follow,
 * each partition's in order. Each bucket is one part of the statement: planning takes longer than most fetches, and a
 * bucket that is constant at planning is the only one locked. The map may be a full ring old: a slot is read only while
 * it holds the bucket in the map.
 *
 * COPY takes no parameters: its text contains only checked integers.
 */
function copyText(positions: readonly FetchPosition[], wanted: readonly Wanted[]): string {
  const ids = positions.map(({ partitionId }) => copyInteger(partitionId)).join();
  const parts = [
    `select -1::integer, (select pg_catalog.max(e.epoch) from :bus.log_epoch e),
            (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint,
            pg_catalog.min(seq), null::bytea
       from :bus.log_bucket`,
    `select p.id, 0, 0, coalesce((select pg_catalog.max(s.bucket_seq) from :bus.log_segment s where s.partition_id = p.id), ${NO_BUCKET}), null
       from pg_catalog.unnest(array[${ids}]) p (id)`,
  ];
  for (const bucketSeq of new Set(wanted.map(({ segment }) => segment.bucketSeq))) {
    const inBucket = wanted.filter(({ segment }) => segment.bucketSeq === bucketSeq);
    const slot = copyInteger(inBucket[0]?.segment.slot ?? -1);
    const rows = inBucket.map(
      ({ partitionId, offset, most }) =>
        `(${copyInteger(partitionId)}, ${copyInteger(offset)}::bigint, ${copyInteger(most)})`,
    );
    parts.push(
      `select b.partition_id, b.base_offset, b.last_offset, ${copyInteger(bucketSeq)}::bigint, b.data
         from (values ${rows.join()}) w (partition_id, from_offset, most)
         cross join lateral (
           select l.partition_id, l.base_offset, l.last_offset, l.data from :bus.log_batch l
            where l.slot = ${slot} and l.partition_id = w.partition_id
              and l.last_offset >= w.from_offset
            order by l.last_offset limit w.most) b
        where exists (select from :bus.log_bucket k where k.seq = ${copyInteger(bucketSeq)} and k.slot = ${slot})`,
    );
  }
  return `copy (${parts.join('\nunion all\n')}) to stdout (format binary)`;
}

/** An integer column of a binary row, `bytes` long, at byte `at`. */
function readInteger(row: Buffer, at: number, bytes: 4 | 8): number {
  return bytes === 4 ? row.readInt32BE(at) : row.readInt32BE(at) * 4_294_967_296 + row.readUInt32BE(at + 4);
}
