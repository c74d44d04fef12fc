-- The lowest offset from which each partition has lost its records since an epoch of the log; none if it has lost nothing.
-- Params: partitionIds integer[], logEpoch bigint
-- Returns: partitionId integer, cut bigint
-- Index: log_cut_pkey
select c.partition_id as "partitionId", min(c.cut) as cut
  from :bus.log_cut c
 where c.epoch > $2 and c.partition_id = any ($1)
 group by c.partition_id;
