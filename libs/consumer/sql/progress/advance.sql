-- Stores a position, and the offset up to which records may have been begun, under the fence. With it, the history of the
-- log, and the checksum of the batch that holds the record before the position.
-- Params: groupId integer, partitionId integer, ownerEpoch bigint, position bigint, inFlightEnd bigint, logEpoch bigint, checksum bigint?,
--   incarnation bigint
-- Returns: none
-- Locks: the owner's row (share), until the transaction ends
select :schema.advance($1, $2, $3, $4, $5, $6, $7, $8)::text;
