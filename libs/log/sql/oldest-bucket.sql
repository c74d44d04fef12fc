-- The oldest bucket that still holds records.
-- Params: none
-- Returns: bucketSeq bigint
-- Index: log_bucket_pkey
select min(b.seq) as "bucketSeq" from :schema.log_bucket b;
