-- Sets a tombstone unless the operation has passed, and says whose row it is. A transaction that is just here is waited
-- for, at most so many milliseconds.
-- Params: gid text, branch text, op text, reason text, waitMs integer
-- Returns: reason text
-- Locks: the new row
select :schema.barrier_tombstone($1, $2, $3, $4, $5) as reason;
