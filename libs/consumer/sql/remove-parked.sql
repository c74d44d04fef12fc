-- Removes a parked message: it has a verdict.
-- Params: groupId integer, partitionId integer, offset bigint
-- Returns: none
-- Index: parked_message_pkey
delete from :schema.parked_message m where m.group_id = $1 and m.partition_id = $2 and m.log_offset = $3;
