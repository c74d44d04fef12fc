-- Assigns partitions to members. The caller holds the group's lock.
-- Params: groupId integer, partitionIds integer[], memberIds uuid[]
-- Returns: none
-- Locks: owner rows that change; waits for deliveries that hold them
select :bus.group_assign($1, $2, $3);
