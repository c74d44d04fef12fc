-- Deletes the charges of records that have a verdict: those below a position, and one offset.
-- Params: groupId integer, partitionId integer, offset bigint
-- Returns: none
-- Index: crash_charge_offset
delete from :schema.crash_charge c
 where c.group_id = $1 and c.partition_id = $2 and c.log_offset = $3;
