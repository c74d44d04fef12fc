-- Opens the next bucket if the newest is old enough.
-- Params: bucketMs bigint
-- Returns: opened boolean
-- Locks: the structure, for at most 50 ms of waiting
select :bus.log_open_bucket($1) as opened;
