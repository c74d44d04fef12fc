-- Ends a running redrive; dead letters already redriven stay so.
-- Params: id bigint
-- Returns: id bigint
update :schema.redrive r set state = 'cancelled', moved_at = clock_timestamp()
 where r.id = $1 and r.state = 'running'
returning r.id;
