-- The group's id; creates the group if it does not exist.
-- Params: name text
-- Returns: groupId integer
with created as (
  insert into :schema.consumer_group (name) values ($1) on conflict (name) do nothing returning id
)
select c.id as "groupId" from created c
union all
select g.id from :schema.consumer_group g where g.name = $1
limit 1;
