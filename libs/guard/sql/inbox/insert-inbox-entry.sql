-- Enters a log entry in the inbox; returns no row if it was already there. A concurrent transaction with the
-- same entry makes this one wait until that ends.
-- Params: slot integer, bucketSeq bigint, consumer text, logIdentity text, topic text, partition integer, offset bigint
-- Returns: taken boolean
-- Locks: the new entry, until the transaction ends
-- Index: inbox_entry
insert into :schema.inbox (slot, bucket_seq, consumer, log_identity, topic, partition_number, log_offset)
values ($1::smallint, $2::bigint, $3::text, $4::text, $5::text, $6::integer, $7::bigint)
on conflict do nothing
returning true as taken;
