// Made by scripts/build-sql.mjs from ../sql/append; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Appends record batches, concatenated in data, partitions ascending.
 * Locks: the structure (shared), then the partitions ascending, until the transaction ends
 */
export const appendRecords = statement<[partitionIds: readonly (number | null)[], recordCounts: readonly (number | null)[], byteLengths: readonly (number | null)[], maxTimestamps: readonly (number | null)[], baseSequences: readonly (number | null)[], data: Buffer, producerId: number, synchronousCommit: string | null], { partitionId: number; baseOffset: number }>('append-records', `select a.appended_partition as "partitionId", a.appended_offset as "baseOffset"
  from :bus.log_append($1, $2, $3, $4, $5, $6, $7, $8) a`);

/**
 * Where a hand-over of the same transaction has put its batches, and the server's start: a statement of its own, because the
 * hand-over has waited for locks.
 * Locks: none; the hand-over holds the structure's, so that the newest bucket stays the same
 */
export const appendedTo = statement<[], { bucketSeq: number; incarnation: number }>('appended-to', `select pg_catalog.max(b.seq) as "bucketSeq",
       (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
  from :bus.log_bucket b`);

/**
 * What the log holds of a source: the bus's id, the log's epoch, and the newest pass (n = 0: none).
 * Index: source_service_id_key, log_source_n
 */
export const askSource = statement<[serviceId: string], { busId: string; logEpoch: number; n: number; token: string | null }>('ask-source', `select a.bus_id::text as "busId", a.log_epoch as "logEpoch", a.n, a.token::text as token from :bus.source_ask($1::uuid) a`);

/**
 * Appends one pass of a source's outbox, once, with the keys of subjects that its records need. Raises WB050 to WB053.
 * Locks: the source, the structure (shared), then the partitions ascending, until the transaction ends; with keys also those
 *   of the log, shared
 */
export const handOverPass = statement<[serviceId: string, logEpoch: number, n: number, token: string, tokenBefore: string | null, partitionIds: readonly (number | null)[], recordCounts: readonly (number | null)[], byteLengths: readonly (number | null)[], maxTimestamps: readonly (number | null)[], data: Buffer, subjectHashes: readonly (Buffer | null)[], keyIds: readonly (string | null)[], wrappedKeys: readonly (Buffer | null)[]], { partitionId: number; baseOffset: number; already: boolean }>('hand-over-pass', `select h.appended_partition as "partitionId", h.appended_offset as "baseOffset", h.already
  from :bus.log_hand_over($1::uuid, $2, $3, $4::uuid, $5::uuid, $6, $7, $8, $9, $10, $11, $12::uuid[], $13) h`);

/**
 * The passes of a source from a number on, as far as the log remembers them, with where their records are.
 * Index: log_source_n
 */
export const listPasses = statement<[serviceId: string, fromN: number], { n: number; token: string; partitionIds: readonly number[]; baseOffsets: readonly number[]; lastOffsets: readonly number[] }>('list-passes', `select p.n, p.token::text as token, p.partition_ids as "partitionIds", p.base_offsets as "baseOffsets",
       p.last_offsets as "lastOffsets"
  from :bus.source_passes($1::uuid, $2) p`);

/**
 * A new producer id, unique in this log.
 */
export const nextProducerId = statement<[], { producerId: number }>('next-producer-id', `select pg_catalog.nextval(':bus.producer_id') as "producerId"`);
