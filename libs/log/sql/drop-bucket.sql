-- Empties the oldest bucket if it is past retention.
-- Params: none
-- Returns: dropped boolean
-- Locks: the structure and the bucket's table, for at most 50 ms of waiting
select :bus.log_drop_bucket() as dropped;
