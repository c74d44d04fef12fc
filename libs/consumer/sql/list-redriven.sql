-- Parked messages of some partitions of a group that operators have redriven or may discard. As list-parked.
-- Params: groupId integer, partitionIds integer[]
-- Returns: partitionId integer, offset bigint, key text?, dueInMs bigint?
-- Index: parked_message_from_dead_letter
select m.partition_id as "partitionId", m.log_offset as "offset", m.key,
       case when m.due_at = 'infinity' then null
            else greatest(0, ceil(coalesce(extract(epoch from m.due_at - clock_timestamp()), 0) * 1000.0))::bigint
       end as "dueInMs"
  from :schema.parked_message m
 where m.group_id = $1 and m.partition_id = any ($2::integer[]) and m.from_dead_letter
 order by m.partition_id, m.log_offset;
