-- Removes dead letters that have been closed for long, up to so many.
-- Params: closedForMs bigint, most integer
-- Returns: removed bigint
with old as (
  delete from :schema.dead_letter d
   where d.id in (select o.id from :schema.dead_letter o
                   where o.state in ('redriven', 'replaced', 'discarded')
                     and o.state_since < clock_timestamp() - $1::bigint::double precision * interval '1 millisecond'
                   order by o.id limit $2)
  returning 1
)
select count(*) as removed from old;
