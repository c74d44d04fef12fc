-- Stores a group's positions as a member reports them, for showing lag. One that is older than what is there changes nothing.
-- Params: groupId integer, partitionIds integer[], ownerEpochs bigint[], positions bigint[]
-- Returns: none
-- Locks: the rows of these positions
select :bus.group_report_progress($1, $2, $3, $4);
