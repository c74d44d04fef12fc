-- An event that no saga waits for could not be handed to its handler: it is tried again after so many milliseconds.
-- Params: id bigint, delayMs bigint
-- Returns: none
-- Index: saga_event_pkey
update :schema.saga_event e
   set failures = e.failures + 1,
       expires_at = clock_timestamp() + $2::bigint::double precision * interval '1 millisecond'
 where e.id = $1::bigint;
