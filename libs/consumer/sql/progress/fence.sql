-- Raises unless the member owns the partition and its lease is valid. The last statement before COMMIT.
-- Params: groupId integer, partitionId integer, memberId uuid, ownerEpoch bigint
-- Returns: none
-- Locks: the owner's row (share), until the transaction ends
select :schema.fence($1, $2, $3::uuid, $4)::text;
