-- Notes the owner epochs that a member has taken in its service's database; returns, for partitions that are granted to it,
-- the highest that had been reported before.
-- Params: groupId integer, partitionIds integer[], memberId uuid, grantEpochs bigint[], ownerEpochs bigint[]
-- Returns: partitionId integer, takenBefore bigint
-- Locks: the partitions' rows of the group
select r.of_partition as "partitionId", r.taken_before as "takenBefore"
  from :bus.group_report_taken($1, $2, $3::uuid, $4, $5) r;
