-- A group's lag: its position and the log's end, for each partition that it owns or has owned.
-- Params: groupName text
-- Returns: topic text, number integer, partitionId integer, position bigint, endOffset bigint
select t.name as topic, p.number, p.id as "partitionId",
       coalesce((select c.position from :schema.consumer_position c
                  where c.group_id = g.id and c.partition_id = p.id
                  order by c.owner_epoch desc, c.position desc, c.id desc limit 1), l.start_offset) as position,
       l.end_offset as "endOffset"
  from :schema.consumer_group g
  join :schema.partition_owner o on o.group_id = g.id
  join :schema.topic_partition p on p.id = o.partition_id
  join :schema.topic t on t.id = p.topic_id
  cross join lateral :schema.log_offsets(array[p.id]) l
 where g.name = $1
 order by t.name, p.number;
