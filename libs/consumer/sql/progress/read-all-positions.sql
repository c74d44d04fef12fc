-- The newest position of every group in every partition that it has taken.
-- Params: none
-- Returns: groupName text, partitionId integer, position bigint, logEpoch bigint, checksum bigint?
-- Index: consumer_position_newest, backwards, for each row of progress_owner
select g.name as "groupName", w.partition_id as "partitionId", n.position, n.log_epoch as "logEpoch", n.checksum
  from :schema.progress_owner w
  join :schema.consumer_group g on g.id = w.group_id
 cross join lateral (select p.position, p.log_epoch, p.checksum
                       from :schema.consumer_position p
                      where p.group_id = w.group_id and p.partition_id = w.partition_id
                      order by p.owner_epoch desc, p.position desc, p.id desc
                      limit 1) n
 order by g.name, w.partition_id;
