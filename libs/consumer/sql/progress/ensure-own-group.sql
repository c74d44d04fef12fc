-- The id of a group in the service's database; creates the group if it does not exist.
-- Params: name text
-- Returns: groupId integer
select :schema.group_ensure($1) as "groupId";
