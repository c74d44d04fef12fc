-- Appends one pass of a source's outbox, once, with the keys of subjects that its records need. Raises WB050 to WB053.
-- Params: serviceId uuid, logEpoch bigint, n bigint, token uuid, tokenBefore uuid?, partitionIds integer[],
--   recordCounts integer[], byteLengths integer[], maxTimestamps bigint[], data bytea, subjectHashes bytea[], keyIds uuid[],
--   wrappedKeys bytea[]
-- Returns: partitionId integer, baseOffset bigint, already boolean
-- Locks: the source, the structure (shared), then the partitions ascending, until the transaction ends; with keys also those
--   of the log, shared
select h.appended_partition as "partitionId", h.appended_offset as "baseOffset", h.already
  from :bus.log_hand_over($1::uuid, $2, $3, $4::uuid, $5::uuid, $6, $7, $8, $9, $10, $11, $12::uuid[], $13) h;
