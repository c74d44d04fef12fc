-- The offsets at or above a position that already have a verdict, for several partitions.
-- Params: groupId integer, partitionIds integer[], positions bigint[]
-- Returns: partitionId integer, offset bigint
-- Index: delivery_mark_offset
select w.id as "partitionId", n.log_offset as "offset"
  from unnest($2::integer[], $3::bigint[]) as w (id, position)
 cross join lateral (select m.log_offset
                       from :schema.delivery_mark m
                      where m.group_id = $1 and m.partition_id = w.id and m.log_offset >= w.position
                      order by m.log_offset
                     offset 0) n;
