-- The offsets at or above a position that have a verdict already.
-- Params: groupId integer, partitionId integer, position bigint
-- Returns: offset bigint
-- Index: delivery_mark_offset
select m.log_offset as "offset"
  from :schema.delivery_mark m
 where m.group_id = $1 and m.partition_id = $2 and m.log_offset >= $3
 order by m.log_offset;
