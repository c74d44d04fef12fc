-- The owner epochs of a group, by its name.
-- Params: groupName text
-- Returns: partitionId integer, ownerEpoch bigint
-- Index: progress_owner_pkey
select o.partition_id as "partitionId", o.owner_epoch as "ownerEpoch"
  from :schema.consumer_group g
  join :schema.progress_owner o on o.group_id = g.id
 where g.name = $1;
