-- Passes the barrier, as the first write of a transaction; waits for a concurrent transaction.
-- Params: gid text, branch text, op text
-- Returns: passed boolean
-- Locks: the new row, until the transaction ends
select :schema.barrier_pass($1, $2, $3) as passed;
