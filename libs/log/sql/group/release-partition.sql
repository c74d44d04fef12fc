-- Releases a partition, in any epoch in which the member owns it.
-- Params: groupId integer, partitionId integer, memberId uuid
-- Returns: none
-- Locks: the group's row, then the owner's row
select :bus.group_release($1, $2, $3);
