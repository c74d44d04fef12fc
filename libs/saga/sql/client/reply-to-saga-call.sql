-- Records that an endpoint has replied later; false if it has replied already, or for another round.
-- Params: sagaId uuid, step text, op text, round integer, rejected boolean
-- Returns: first boolean
-- Locks: the call
-- Index: saga_call_pkey
select :schema.saga_call_reply($1::uuid, $2::text, $3::text, $4::integer, $5::boolean) as first;
