-- Stores where a group begins in partitions, with nothing in flight, under the fence of each. Raises, and stores
-- nothing, if another member owns one of them, or its owner's row is locked.
-- Params: groupId integer, partitionIds integer[], memberId uuid, ownerEpochs bigint[], positions bigint[]
-- Returns: none
-- Locks: the owners' rows (share), until the transaction ends; waits for none
select :schema.advance_all($1, $2, $3::uuid, $4, $5)::text;
