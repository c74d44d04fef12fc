-- Empties a slot of the inbox's ring, if every bucket in it has left the log.
-- Params: slot integer, oldestBucketSeq bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.inbox_empty_slot($1, $2) as emptied;
