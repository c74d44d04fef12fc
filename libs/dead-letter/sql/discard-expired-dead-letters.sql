-- Discards open dead letters whose last failure is long ago, up to a limit, and releases the messages that waited for
-- them.
-- Params: openForMs bigint, most integer
-- Returns: id bigint
-- Locks: their rows
select d.id from :schema.discard_dead_letters(array(
  select o.id from :schema.dead_letter o
   where o.state = 'open'
     and o.last_failed_at < (select clock_timestamp() - $1::bigint::double precision * interval '1 millisecond')
   order by o.id limit $2)) as d (id);
