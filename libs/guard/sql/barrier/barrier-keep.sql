-- Stores the result of an operation, for its duplicates.
-- Params: gid text, branch text, op text, result text, begunMs bigint
-- Returns: none
-- Locks: the new row, until the transaction ends
select from :schema.barrier_keep($1, $2, $3, $4, $5::bigint);
