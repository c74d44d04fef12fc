-- The newest position of a group in a partition: the highest of the highest owner epoch.
-- Params: groupId integer, partitionId integer
-- Returns: position bigint, inFlightEnd bigint
-- Index: consumer_position_newest, backwards
select p.position, p.in_flight_end as "inFlightEnd"
  from :schema.consumer_position p
 where p.group_id = $1 and p.partition_id = $2
 order by p.owner_epoch desc, p.position desc, p.id desc
 limit 1;
