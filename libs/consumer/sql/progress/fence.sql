-- Raises unless the partition is in this owner epoch, and the server the same as when it was taken. The last statement before COMMIT.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint, incarnation bigint
-- Returns: none
-- Locks: the owner's row (share), until the transaction ends
select :schema.fence($1, $2, $3, $4)::text;
