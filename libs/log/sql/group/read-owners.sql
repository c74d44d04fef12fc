-- The owner of each partition of a group, and the member to which it is promised.
-- Params: groupId integer
-- Returns: partitionId integer, ownerId text?, ownerEpoch bigint, targetId text?
select o.partition_id as "partitionId", o.owner_id::text as "ownerId", o.owner_epoch as "ownerEpoch",
       o.target_id::text as "targetId"
  from :bus.partition_owner o
 where o.group_id = $1
 order by o.partition_id;
