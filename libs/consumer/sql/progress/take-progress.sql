-- Takes partitions by the log's grants, under new owner epochs; no row for those of which the service's database knows the
-- same or a newer grant. Late transactions of an earlier owner fail.
-- Params: groupId integer, partitionIds integer[], grantEpochs bigint[], memberId uuid, logEpoch bigint
-- Returns: partitionId integer, ownerEpoch bigint, incarnation bigint
-- Locks: the owners' rows; waits for deliveries that hold them, for 3 seconds at most
select t.of_partition as "partitionId", t.new_epoch as "ownerEpoch", :schema.incarnation() as incarnation
  from :schema.progress_take($1, $2, $3, $4::uuid, $5) t;
