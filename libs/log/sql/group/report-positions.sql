-- Stores a group's positions as a member reports them, for showing lag.
-- Params: groupId integer, partitionIds integer[], positions bigint[]
-- Returns: none
-- Locks: the rows of these positions
select :bus.group_report_positions($1, $2, $3);
