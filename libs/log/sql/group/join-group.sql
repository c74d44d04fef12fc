-- The group's id; creates the group if it does not exist. Raises WB055 when its members are of another service.
-- Params: name text, serviceId uuid
-- Returns: groupId integer
-- Locks: the group's row, when it is new
select :bus.group_join($1, $2::uuid) as "groupId";
