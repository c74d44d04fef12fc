-- The owner epochs that members of a group have reported from their service's database, of partitions that were taken.
-- Params: groupName text
-- Returns: partitionId integer, topic text, number integer, takenEpoch bigint
-- Index: partition_owner_pkey
select o.partition_id as "partitionId", t.name as topic, p.number, o.taken_epoch as "takenEpoch"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id and o.taken_epoch > 0
  join :bus.topic_partition p on p.id = o.partition_id
  join :bus.topic t on t.id = p.topic_id
 where g.name = $1
 order by t.name, p.number;
