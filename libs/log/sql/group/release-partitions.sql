-- Releases partitions, in any epoch in which the member owns them; returns those released. One that a delivery still
-- holds is kept.
-- Params: groupId integer, partitionIds integer[], memberId uuid
-- Returns: partitionId integer
-- Locks: the group's row, then the owners' rows that are free
select r.id as "partitionId" from :bus.group_release_all($1, $2, $3::uuid) as r (id);
