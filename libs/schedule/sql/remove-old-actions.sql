-- Removes records of what operators did that are past their time, up to so many.
-- Params: olderThanMs bigint, most integer
-- Returns: removed bigint
-- Index: operator_action_acted
with old as (
  delete from :schema.operator_action a
   where a.id = any (array(select o.id from :schema.operator_action o
                   where o.acted_at < (select clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
                   order by o.acted_at limit $2))
  returning 1
)
select count(*) as removed from old;
