-- Delays a saga whose transition has failed, by milliseconds from now.
-- Params: id uuid, delayMs bigint
-- Returns: none
-- Locks: the saga
-- Index: saga_pkey
update :schema.saga s
   set wake_at = greatest(s.wake_at, clock_timestamp() + $2::bigint::double precision * interval '1 millisecond')
 where s.id = $1::uuid;
