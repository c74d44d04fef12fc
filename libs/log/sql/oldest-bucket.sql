-- The oldest bucket whose records can still be delivered: it is in the log, or a message of it waits beside the log.
-- Params: none
-- Returns: bucketSeq bigint
-- Index: log_bucket_pkey
select least((select min(b.seq) from :schema.log_bucket b),
             (select min(m.bucket_seq) from :schema.parked_message m)) as "bucketSeq";
