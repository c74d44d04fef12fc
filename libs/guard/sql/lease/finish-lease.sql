-- Marks a name as done with its result, unless another process has claimed it since.
-- Params: name text, fence text, result text?, windowMs bigint
-- Returns: finished boolean
-- Locks: the name, until the statement ends
-- Index: guard_outcome_name, guard_lease_pkey
select :schema.lease_finish($1, $2::text::bigint, $3, $4) as finished;
