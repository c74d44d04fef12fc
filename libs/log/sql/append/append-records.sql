-- Appends record batches, concatenated in data, partitions ascending.
-- Params: partitionIds integer[], recordCounts integer[], byteLengths integer[], maxTimestamps bigint[],
--   baseSequences integer[], data bytea, producerId bigint, synchronousCommit text?
-- Returns: partitionId integer, baseOffset bigint
-- Locks: the structure (shared), then the partitions ascending, until the transaction ends
select a.appended_partition as "partitionId", a.appended_offset as "baseOffset"
  from :bus.log_append($1, $2, $3, $4, $5, $6, $7, $8) a;
