-- Stores a position, and the offset up to which records may have been begun, under the fence.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint, position bigint, inFlightEnd bigint
-- Returns: none
-- Locks: the owner's row (share), until the transaction ends
select :schema.advance($1, $2, $3, $4, $5)::text;
