-- Withdraws the rejection of an operation.
-- Params: gid text, branch text, op text, begunMs bigint
-- Returns: none
-- Locks: its row
-- Index: barrier_pkey
select from :schema.barrier_pardon($1, $2, $3, $4::bigint);
