-- Sets a tombstone unless the operation has passed, and returns the row's reason. Waits for a concurrent transaction,
-- at most waitMs milliseconds.
-- Params: gid text, branch text, op text, reason text, waitMs integer
-- Returns: reason text
-- Locks: the new row
select :schema.barrier_tombstone($1, $2, $3, $4, $5) as reason;
