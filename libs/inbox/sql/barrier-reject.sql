-- Notes that an operation was rejected, after its own row was rolled back.
-- Params: gid text, branch text, op text, retentionMs bigint
-- Returns: none
-- Locks: the new row, until the transaction ends
select :schema.barrier_reject($1, $2, $3, $4);
