-- Removes records of what operators did that are past their time, up to so many.
-- Params: olderThanMs bigint, most integer
-- Returns: removed bigint
with old as (
  delete from :schema.operator_action a
   where a.id in (select o.id from :schema.operator_action o
                   where o.acted_at < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
                   order by o.id limit $2)
  returning 1
)
select count(*) as removed from old;
