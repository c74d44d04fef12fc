-- Ends an ongoing operation, or checks whether it is still ongoing (newReason null), and returns its reason before.
-- Params: gid text, branch text, op text, begunMs bigint, newReason text?, waitMs integer
-- Returns: reason text?
-- Locks: its row, until the transaction ends; waits at most waitMs milliseconds
-- Index: barrier_pkey
select :schema.barrier_end($1, $2, $3, $4::bigint, $5::text, $6::integer) as reason;
