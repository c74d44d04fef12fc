-- Takes a group over into a newer history of the log, from the cut on, under the fence; see the function. Returns the position.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint, logEpoch bigint, cut bigint, incarnation bigint
-- Returns: position bigint
-- Locks: the owner's row (share), until the transaction ends
select :schema.progress_rewind($1, $2, $3, $4, $5, $6) as position;
