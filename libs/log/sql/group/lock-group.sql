-- Takes the group's lock: one rebalance at a time.
-- Params: groupId integer
-- Returns: generation bigint
-- Locks: the group's row, until the transaction ends
select g.generation from :bus.consumer_group g where g.id = $1 for update;
