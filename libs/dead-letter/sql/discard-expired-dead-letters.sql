-- Discards open dead letters that have failed last long ago, up to a limit, and lets go of what waited behind them.
-- Params: openForMs bigint, most integer
-- Returns: id bigint
-- Locks: their rows
select d.id from :schema.discard_dead_letters(array(
  select o.id from :schema.dead_letter o
   where o.state = 'open'
     and o.last_failed_at < (select clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
   order by o.id limit $2)) as d (id);
