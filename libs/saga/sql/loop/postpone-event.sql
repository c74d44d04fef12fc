-- An unclaimed event could not be passed to its handler: it is retried after a number of milliseconds.
-- Params: id bigint, delayMs bigint
-- Returns: none
-- Index: saga_event_pkey
update :schema.saga_event e
   set failures = e.failures + 1,
       expires_at = clock_timestamp() + $2::bigint::double precision * interval '1 millisecond'
 where e.id = $1::bigint;
