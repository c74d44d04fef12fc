-- The buckets that contain records of these partitions, oldest first.
-- Params: partitionIds integer[]
-- Returns: partitionId integer, bucketSeq bigint, slot integer, firstOffset bigint
-- Index: log_segment_pkey
select s.partition_id as "partitionId", s.bucket_seq as "bucketSeq", s.slot::integer as slot,
       s.first_offset as "firstOffset"
  from :bus.log_segment s
 where s.partition_id = any ($1)
 order by s.partition_id, s.bucket_seq;
