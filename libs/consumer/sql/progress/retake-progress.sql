-- Takes one partition whatever its grant was, if it is still in that owner epoch; null if not.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint, grantEpoch bigint, memberId uuid, logEpoch bigint
-- Returns: ownerEpoch bigint?, incarnation bigint
-- Locks: the owner's row; waits for a delivery that holds it, for 3 seconds at most
select :schema.progress_retake($1, $2, $3, $4, $5::uuid, $6) as "ownerEpoch", :schema.incarnation() as incarnation;
