-- The oldest bucket whose records can still be delivered: it is in the log, or one of its messages is parked.
-- Params: none
-- Returns: bucketSeq bigint
-- Index: log_bucket_pkey
select least((select min(b.seq) from :schema.log_bucket b),
             (select min(m.bucket_seq) from :schema.parked_message m)) as "bucketSeq";
