// Made by scripts/build-sql.mjs from ../sql/read; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * The first batch of each partition that has a record with this timestamp or a later one.
 * Index: log_batch_offset, from its start
 */
export const findBatchesAt = statement<[partitionIds: readonly (number | null)[], timestampMs: number], { partitionId: number; baseOffset: number; data: Buffer }>('find-batches-at', `select w.id as "partitionId", n.base_offset as "baseOffset", n.data
  from pg_catalog.unnest($1::integer[]) as w (id)
 cross join lateral (select b.base_offset, b.data
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.max_timestamp >= $2
                      order by b.last_offset
                      limit 1) n`);

/**
 * The checksum in the header of the batch that holds the record before an offset; none if there is no such batch.
 * Index: log_batch_offset
 */
export const readChecksums = statement<[partitionIds: readonly (number | null)[], offsets: readonly (number | null)[]], { partitionId: number; checksum: number }>('read-checksums', `select w.id as "partitionId", ('x' || pg_catalog.encode(n.bytes, 'hex'))::pg_catalog.bit(32)::bigint as checksum
  from unnest($1::integer[], $2::bigint[]) as w (id, log_offset)
 cross join lateral (select pg_catalog.substr(b.data, 18, 4) as bytes, b.base_offset
                       from :bus.log_batch b
                      where b.partition_id = w.id and b.last_offset >= w.log_offset - 1
                      order by b.last_offset
                      limit 1) n
 where n.base_offset <= w.log_offset - 1`);

/**
 * The lowest offset from which each partition has lost its records since an epoch of the log; none if it has lost nothing.
 * Index: log_cut_pkey
 */
export const readCuts = statement<[partitionIds: readonly (number | null)[], logEpoch: number], { partitionId: number; cut: number }>('read-cuts', `select c.partition_id as "partitionId", pg_catalog.min(c.cut) as cut
  from :bus.log_cut c
 where c.epoch > $2 and c.partition_id = any ($1)
 group by c.partition_id`);

/**
 * Where partitions start and end.
 * Index: log_segment_pkey, log_batch_offset
 */
export const readOffsets = statement<[partitionIds: readonly (number | null)[]], { partitionId: number; startOffset: number; endOffset: number }>('read-offsets', `select o.of_partition as "partitionId", o.start_offset as "startOffset", o.end_offset as "endOffset"
  from :bus.log_offsets($1) o`);

/**
 * The buckets that contain records of these partitions, oldest first.
 * Index: log_segment_pkey
 */
export const readSegments = statement<[partitionIds: readonly (number | null)[]], { partitionId: number; bucketSeq: number; slot: number; firstOffset: number }>('read-segments', `select s.partition_id as "partitionId", s.bucket_seq as "bucketSeq", s.slot::integer as slot,
       s.first_offset as "firstOffset"
  from :bus.log_segment s
 where s.partition_id = any ($1)
 order by s.partition_id, s.bucket_seq`);
