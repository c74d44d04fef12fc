-- Positions that a group has stored in a partition in one epoch of the log, with the checksums of the batches below them, as
-- far as they are kept; ascending, at most 10,000, the highest. Where the group began, there is no checksum.
-- Params: groupId integer, partitionId integer, logEpoch bigint
-- Returns: position bigint, checksum bigint?
-- Index: consumer_position_newest
select n.position, n.checksum
  from (select p.position, pg_catalog.min(p.checksum) as checksum
          from :schema.consumer_position p
         where p.group_id = $1 and p.partition_id = $2 and p.log_epoch = $3
         group by p.position
         order by p.position desc
         limit 10000) n
 order by n.position;
