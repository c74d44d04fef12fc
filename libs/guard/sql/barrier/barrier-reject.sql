-- Records that an operation was rejected, after its own row was rolled back; if the operation that undoes it came in
-- between, its row stays.
-- Params: gid text, branch text, op text, retentionMs bigint, begunMs bigint
-- Returns: none
-- Locks: the new row, until the transaction ends
-- Index: barrier_pkey
select from :schema.barrier_reject($1, $2, $3, $4, $5::bigint);
