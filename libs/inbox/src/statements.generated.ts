// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel';

/**
 * Passes the barrier, as the first write of a transaction; a transaction that is just here is waited for.
 * Params: gid text, branch text, op text
 * Returns: passed boolean
 * Locks: the new row, until the transaction ends
 */
export const barrierPass = statement<
  [gid: string, branch: string, op: string],
  { passed: boolean }
>('barrier-pass', `select :schema.barrier_pass($1, $2, $3) as passed`);

/**
 * Sets a tombstone unless the operation has passed, and says whose row it is. A transaction that is just here is waited
 * for, at most so many milliseconds.
 * Params: gid text, branch text, op text, reason text, waitMs integer
 * Returns: reason text
 * Locks: the new row
 */
export const barrierTombstone = statement<
  [gid: string, branch: string, op: string, reason: string, waitMs: number],
  { reason: string }
>('barrier-tombstone', `select :schema.barrier_tombstone($1, $2, $3, $4, $5) as reason`);

/**
 * Empties a slot of the inbox's ring, when every bucket in it has left the log.
 * Params: slot integer, oldestBucketSeq bigint
 * Returns: emptied boolean
 * Locks: that slot, for at most 50 ms of waiting
 */
export const emptyInboxSlot = statement<
  [slot: number, oldestBucketSeq: number],
  { emptied: boolean }
>('empty-inbox-slot', `select :schema.inbox_empty_slot($1, $2) as emptied`);

/**
 * Takes an entry of the log in; no row comes back when it had been taken in before. A concurrent transaction with the
 * same entry makes this one wait until that has ended.
 * Params: slot integer, bucketSeq bigint, consumer text, logIdentity text, topic text, partition integer, offset bigint
 * Returns: taken boolean
 * Locks: the new entry, until the transaction ends
 * Index: inbox_entry
 */
export const insertInboxEntry = statement<
  [slot: number, bucketSeq: number, consumer: string, logIdentity: string, topic: string, partition: number, offset: number],
  { taken: boolean }
>('insert-inbox-entry', `insert into :schema.inbox (slot, bucket_seq, consumer, log_identity, topic, partition_number, log_offset)
values ($1::smallint, $2::bigint, $3::text, $4::text, $5::text, $6::integer, $7::bigint)
on conflict do nothing
returning true as taken`);
