-- Ends an operation that goes on, or looks whether it still does (newReason null), and says what it was before.
-- Params: gid text, branch text, op text, begunMs bigint, newReason text?, waitMs integer
-- Returns: reason text?
-- Locks: its row, until the transaction ends; waits at most so many milliseconds
-- Index: barrier_pkey
select :schema.barrier_end($1, $2, $3, $4::bigint, $5::text, $6::integer) as reason;
