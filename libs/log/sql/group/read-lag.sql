-- A group's lag: its position, as it was reported last, and the log's end, for each partition that it owns or has owned.
-- Params: groupName text
-- Returns: topic text, number integer, partitionId integer, position bigint, endOffset bigint
select t.name as topic, p.number, p.id as "partitionId",
       coalesce((select c.position from :bus.reported_position c
                  where c.group_id = g.id and c.partition_id = p.id), l.start_offset) as position,
       l.end_offset as "endOffset"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
  cross join lateral :bus.log_offsets(array[p.id]) l
 where g.name = $1
 order by t.name, p.number;
