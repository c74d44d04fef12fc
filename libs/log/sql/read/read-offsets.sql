-- Where partitions start and end.
-- Params: partitionIds integer[]
-- Returns: partitionId integer, startOffset bigint, endOffset bigint
-- Index: log_segment_pkey, log_batch_offset
select o.of_partition as "partitionId", o.start_offset as "startOffset", o.end_offset as "endOffset"
  from :bus.log_offsets($1) o;
