-- Removes, for a partition that comes to rest, the notes that parked messages may have been started.
-- Params: groupId integer, partitionId integer
-- Returns: none
update :schema.parked_message m
   set in_flight = false
 where m.group_id = $1 and m.partition_id = $2 and m.in_flight;
