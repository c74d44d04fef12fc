-- Ends a redrive that still runs; what it has redriven stays so.
-- Params: id bigint
-- Returns: id bigint
update :schema.redrive r set state = 'cancelled', moved_at = clock_timestamp()
 where r.id = $1 and r.state = 'running'
returning r.id;
