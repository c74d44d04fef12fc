-- Sets when a saga is due again, without a transition.
-- Params: id uuid, wakeMs bigint?
-- Returns: none
-- Locks: the saga
-- Index: saga_pkey
update :schema.saga s set wake_at = s.started_at + $2::bigint::double precision * interval '1 millisecond' where s.id = $1::uuid;
