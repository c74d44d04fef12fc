-- How often each record at or above a position was begun alone.
-- Params: groupId integer, partitionId integer, position bigint
-- Returns: offset bigint, charges integer
-- Index: crash_charge_offset
select c.log_offset as "offset", count(*)::integer as charges
  from :schema.crash_charge c
 where c.group_id = $1 and c.partition_id = $2 and c.log_offset >= $3
 group by c.log_offset;
