-- Stores where a group begins in partitions, with nothing in flight, under the fence of each. Raises, and stores
-- nothing, if one of them has another owner, or its owner's row is locked.
-- Params: groupId integer, partitionIds integer[], ownerEpochs bigint[], positions bigint[], logEpoch bigint, incarnations bigint[]
-- Returns: none
-- Locks: the owners' rows (share), until the transaction ends; waits for none
select :schema.progress_begin($1, $2, $3, $4, $5, $6)::text;
