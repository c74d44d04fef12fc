-- The newest position of a group in each of several partitions: the highest of the highest owner epoch. None if it has
-- never stored one.
-- Params: groupId integer, partitionIds integer[]
-- Returns: partitionId integer, position bigint, inFlightEnd bigint, logEpoch bigint, checksum bigint?
-- Index: consumer_position_newest, backwards
select w.id as "partitionId", n.position, n.in_flight_end as "inFlightEnd", n.log_epoch as "logEpoch", n.checksum
  from unnest($2::integer[]) as w (id)
 cross join lateral (select p.position, p.in_flight_end, p.log_epoch, p.checksum
                       from :schema.consumer_position p
                      where p.group_id = $1 and p.partition_id = w.id
                      order by p.owner_epoch desc, p.position desc, p.id desc
                      limit 1) n;
