-- The owner epochs of partitions.
-- Params: groupId integer, partitionIds integer[]
-- Returns: partitionId integer, ownerEpoch bigint
-- Index: progress_owner_pkey
select o.partition_id as "partitionId", o.owner_epoch as "ownerEpoch"
  from :schema.progress_owner o
 where o.group_id = $1 and o.partition_id = any ($2::integer[]);
