-- Removes dead letters that have been closed for long, up to a limit.
-- Params: closedForMs bigint, most integer
-- Returns: removed bigint
-- Index: dead_letter_closed
with old as (
  delete from :schema.dead_letter d
   where d.id = any (array(select o.id from :schema.dead_letter o
                   where o.state in ('redriven', 'replaced', 'discarded')
                     and o.state_since < (select clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
                   order by o.state_since limit $2))
  returning 1
)
select count(*) as removed from old;
