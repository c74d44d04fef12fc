-- Raises the epoch of a partition that the member owns; no row when it is another's.
-- Params: groupId integer, partitionId integer, memberId uuid, ownerEpoch bigint
-- Returns: ownerEpoch bigint
-- Locks: the owner's row; waits for deliveries that hold it
select r.epoch as "ownerEpoch" from :schema.reclaim($1, $2, $3, $4) as r (epoch);
