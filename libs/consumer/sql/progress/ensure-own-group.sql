-- The id of a group in the service's database, and when its server was started; creates the group if it does not exist, under
-- the id that it had, if known, unless another has that id.
-- Params: name text, knownId integer?
-- Returns: groupId integer?, incarnation bigint
select :schema.group_ensure($1, $2) as "groupId", :schema.incarnation() as incarnation;
