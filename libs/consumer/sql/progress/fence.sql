-- Raises unless the partition is in this owner epoch. The last statement before COMMIT.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint
-- Returns: none
-- Locks: the owner's row (share), until the transaction ends
select :schema.fence($1, $2, $3)::text;
