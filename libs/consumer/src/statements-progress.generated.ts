// Made by scripts/build-sql.mjs from ../sql/progress; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * Stores a position, and the offset up to which records may have been begun, under the fence. With it, the history of the
 * log, and the checksum of the batch that holds the record before the position.
 * Locks: the owner's row (share), until the transaction ends
 */
export const advance = statement<[groupId: number, partitionId: number, ownerEpoch: number, position: number, inFlightEnd: number, logEpoch: number, checksum: number | null, incarnation: number], Record<never, never>>('advance', `select :schema.advance($1, $2, $3, $4, $5, $6, $7, $8)::text`);

/**
 * Stores where a group begins in partitions, with nothing in flight, under the fence of each. Raises, and stores
 * nothing, if one of them has another owner, or its owner's row is locked.
 * Locks: the owners' rows (share), until the transaction ends; waits for none
 */
export const beginProgress = statement<[groupId: number, partitionIds: readonly (number | null)[], ownerEpochs: readonly (number | null)[], positions: readonly (number | null)[], logEpoch: number, incarnations: readonly (number | null)[]], Record<never, never>>('begin-progress', `select :schema.progress_begin($1, $2, $3, $4, $5, $6)::text`);

/**
 * Notes that a record is begun alone after a crash; returns how often it has been, including this time. The fence
 * follows in the same transaction.
 * Index: crash_charge_offset
 */
export const chargeCrash = statement<[groupId: number, partitionId: number, offset: number], { charges: number }>('charge-crash', `with charged as (
  insert into :schema.crash_charge (group_id, partition_id, log_offset) values ($1, $2, $3) returning 1
)
select (select pg_catalog.count(*) from :schema.crash_charge c
         where c.group_id = $1 and c.partition_id = $2 and c.log_offset = $3)::integer
       + (select pg_catalog.count(*) from charged)::integer as charges`);

/**
 * Deletes the charges of records that have a verdict: those below a position, and one offset.
 * Index: crash_charge_offset
 */
export const clearCharges = statement<[groupId: number, partitionId: number, offset: number], Record<never, never>>('clear-charges', `delete from :schema.crash_charge c
 where c.group_id = $1 and c.partition_id = $2 and c.log_offset = $3`);

/**
 * The id of a group in the service's database, and when its server was started; creates the group if it does not exist, under
 * the id that it had, if known, unless another has that id.
 */
export const ensureOwnGroup = statement<[name: string, knownId: number | null], { groupId: number | null; incarnation: number }>('ensure-own-group', `select :schema.group_ensure($1, $2) as "groupId", :schema.incarnation() as incarnation`);

/**
 * Raises unless the partition is in this owner epoch, and the server the same as when it was taken. The last statement before COMMIT.
 * Locks: the owner's row (share), until the transaction ends
 */
export const fence = statement<[groupId: number, partitionId: number, ownerEpoch: number, incarnation: number], Record<never, never>>('fence', `select :schema.fence($1, $2, $3, $4)::text`);

/**
 * Writes the verdict on records: 1 done, 2 dead, 3 parked, 4 expired, 5 dropped.
 */
export const insertMarks = statement<[groupId: number, partitionId: number, offsets: readonly (number | null)[], verdict: number], Record<never, never>>('insert-marks', `insert into :schema.delivery_mark (group_id, partition_id, log_offset, verdict)
select $1::integer, $2::integer, o.log_offset, $4::smallint from pg_catalog.unnest($3::bigint[]) as o (log_offset)`);

/**
 * The newest position of every group in every partition that it has taken.
 * Index: consumer_position_newest, backwards, for each row of progress_owner
 */
export const readAllPositions = statement<[], { groupName: string; partitionId: number; position: number; logEpoch: number; checksum: number | null }>('read-all-positions', `select g.name as "groupName", w.partition_id as "partitionId", n.position, n.log_epoch as "logEpoch", n.checksum
  from :schema.progress_owner w
  join :schema.consumer_group g on g.id = w.group_id
 cross join lateral (select p.position, p.log_epoch, p.checksum
                       from :schema.consumer_position p
                      where p.group_id = w.group_id and p.partition_id = w.partition_id
                      order by p.owner_epoch desc, p.position desc, p.id desc
                      limit 1) n
 order by g.name, w.partition_id`);

/**
 * How often each record at or above a position was begun alone, for several partitions.
 * Index: crash_charge_offset
 */
export const readCharges = statement<[groupId: number, partitionIds: readonly (number | null)[], positions: readonly (number | null)[]], { partitionId: number; offset: number; charges: number }>('read-charges', `select w.id as "partitionId", n.log_offset as "offset", n.charges
  from unnest($2::integer[], $3::bigint[]) as w (id, position)
 cross join lateral (select c.log_offset, pg_catalog.count(*)::integer as charges
                       from :schema.crash_charge c
                      where c.group_id = $1 and c.partition_id = w.id and c.log_offset >= w.position
                      group by c.log_offset) n`);

/**
 * Positions that a group has stored in a partition in one epoch of the log, with the checksums of the batches below them, as
 * far as they are kept; ascending, at most 10,000, the highest. Where the group began, there is no checksum.
 * Index: consumer_position_newest
 */
export const readChecksumsBefore = statement<[groupId: number, partitionId: number, logEpoch: number], { position: number; checksum: number | null }>('read-checksums-before', `select n.position, n.checksum
  from (select p.position, pg_catalog.min(p.checksum) as checksum
          from :schema.consumer_position p
         where p.group_id = $1 and p.partition_id = $2 and p.log_epoch = $3
         group by p.position
         order by p.position desc
         limit 10000) n
 order by n.position`);

/**
 * When the server of the service's database was started, in microseconds.
 */
export const readIncarnation = statement<[], { incarnation: number }>('read-incarnation', `select :schema.incarnation() as incarnation`);

/**
 * The offsets at or above a position that already have a verdict, for several partitions.
 * Index: delivery_mark_offset
 */
export const readMarks = statement<[groupId: number, partitionIds: readonly (number | null)[], positions: readonly (number | null)[]], { partitionId: number; offset: number }>('read-marks', `select w.id as "partitionId", n.log_offset as "offset"
  from unnest($2::integer[], $3::bigint[]) as w (id, position)
 cross join lateral (select m.log_offset
                       from :schema.delivery_mark m
                      where m.group_id = $1 and m.partition_id = w.id and m.log_offset >= w.position
                      order by m.log_offset
                     offset 0) n`);

/**
 * The owner epochs of a group, by its name.
 * Index: progress_owner_pkey
 */
export const readOwnEpochs = statement<[groupName: string], { partitionId: number; ownerEpoch: number }>('read-own-epochs', `select o.partition_id as "partitionId", o.owner_epoch as "ownerEpoch"
  from :schema.consumer_group g
  join :schema.progress_owner o on o.group_id = g.id
 where g.name = $1`);

/**
 * The owner epochs of partitions.
 * Index: progress_owner_pkey
 */
export const readOwnerEpochs = statement<[groupId: number, partitionIds: readonly (number | null)[]], { partitionId: number; ownerEpoch: number }>('read-owner-epochs', `select o.partition_id as "partitionId", o.owner_epoch as "ownerEpoch"
  from :schema.progress_owner o
 where o.group_id = $1 and o.partition_id = any ($2::integer[])`);

/**
 * The newest position of a group in each of several partitions: the highest of the highest owner epoch. None if it has
 * never stored one.
 * Index: consumer_position_newest, backwards
 */
export const readPositions = statement<[groupId: number, partitionIds: readonly (number | null)[]], { partitionId: number; position: number; inFlightEnd: number; logEpoch: number; checksum: number | null }>('read-positions', `select w.id as "partitionId", n.position, n.in_flight_end as "inFlightEnd", n.log_epoch as "logEpoch", n.checksum
  from pg_catalog.unnest($2::integer[]) as w (id)
 cross join lateral (select p.position, p.in_flight_end, p.log_epoch, p.checksum
                       from :schema.consumer_position p
                      where p.group_id = $1 and p.partition_id = w.id
                      order by p.owner_epoch desc, p.position desc, p.id desc
                      limit 1) n`);

/**
 * Raises the epochs of partitions that are in the given ones; no row for those of another owner. If a delivery still holds
 * the row, which this does not wait for, the epoch stays and null is returned. Late transactions with the old epoch fail:
 * afterwards it is certain which of the owner's transactions with lost responses have been committed.
 * Locks: the owners' rows that are free
 * Index: progress_owner_pkey
 */
export const reclaimProgress = statement<[groupId: number, partitionIds: readonly (number | null)[], ownerEpochs: readonly (number | null)[]], { partitionId: number; ownerEpoch: number | null; incarnation: number }>('reclaim-progress', `with mine as (
  select o.partition_id, o.owner_epoch
    from unnest($2::integer[], $3::bigint[]) as w (id, epoch)
    join :schema.progress_owner o on o.group_id = $1 and o.partition_id = w.id and o.owner_epoch = w.epoch
), free as (
  select o.partition_id
    from :schema.progress_owner o
    join mine i on i.partition_id = o.partition_id and i.owner_epoch = o.owner_epoch
   where o.group_id = $1
   order by o.partition_id
     for update of o skip locked
), raised as (
  update :schema.progress_owner o
     set owner_epoch = o.owner_epoch + 1::bigint
    from free f
   where o.group_id = $1 and o.partition_id = f.partition_id
  returning o.partition_id, o.owner_epoch
)
select m.partition_id as "partitionId", r.owner_epoch as "ownerEpoch", :schema.incarnation() as incarnation
  from mine m
  left join raised r on r.partition_id = m.partition_id`);

/**
 * Empties one slot of positions and marks, after carrying forward what is still needed.
 * Locks: the slot's two tables, for at most 50 ms of waiting
 */
export const recycleConsumerSlot = statement<[slot: number], { emptied: boolean }>('recycle-consumer-slot', `select :schema.consumer_recycle($1) as emptied`);

/**
 * Deletes the charges of records that are now done.
 * Index: consumer_position_newest
 */
export const removeSettledCharges = statement<[], Record<never, never>>('remove-settled-charges', `delete from :schema.crash_charge c
 where c.log_offset < (select p.position from :schema.consumer_position p
                        where p.group_id = c.group_id and p.partition_id = c.partition_id
                        order by p.owner_epoch desc, p.position desc, p.id desc limit 1)`);

/**
 * Takes one partition whatever its grant was, if it is still in that owner epoch; null if not.
 * Locks: the owner's row; waits for a delivery that holds it, for 3 seconds at most
 */
export const retakeProgress = statement<[groupId: number, partitionId: number, ownerEpoch: number, grantEpoch: number, memberId: string, logEpoch: number], { ownerEpoch: number | null; incarnation: number }>('retake-progress', `select :schema.progress_retake($1, $2, $3, $4, $5::uuid, $6) as "ownerEpoch", :schema.incarnation() as incarnation`);

/**
 * Takes a group over into a newer history of the log, from the cut on, under the fence; see the function. Returns the position.
 * Locks: the owner's row (share), until the transaction ends
 */
export const rewindProgress = statement<[groupId: number, partitionId: number, ownerEpoch: number, logEpoch: number, cut: number, incarnation: number], { position: number }>('rewind-progress', `select :schema.progress_rewind($1, $2, $3, $4, $5, $6) as position`);

/**
 * Takes partitions by the log's grants, under new owner epochs; no row for those of which the service's database knows the
 * same or a newer grant. Late transactions of an earlier owner fail.
 * Locks: the owners' rows; waits for deliveries that hold them, for 3 seconds at most
 */
export const takeProgress = statement<[groupId: number, partitionIds: readonly (number | null)[], grantEpochs: readonly (number | null)[], memberId: string, logEpoch: number], { partitionId: number; ownerEpoch: number; incarnation: number }>('take-progress', `select t.of_partition as "partitionId", t.new_epoch as "ownerEpoch", :schema.incarnation() as incarnation
  from :schema.progress_take($1, $2, $3, $4::uuid, $5) t`);
