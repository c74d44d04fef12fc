-- How often each record at or above a position was begun alone, for several partitions.
-- Params: groupId integer, partitionIds integer[], positions bigint[]
-- Returns: partitionId integer, offset bigint, charges integer
-- Index: crash_charge_offset
select w.id as "partitionId", n.log_offset as "offset", n.charges
  from unnest($2::integer[], $3::bigint[]) as w (id, position)
 cross join lateral (select c.log_offset, count(*)::integer as charges
                       from :schema.crash_charge c
                      where c.group_id = $1 and c.partition_id = w.id and c.log_offset >= w.position
                      group by c.log_offset) n;
