-- The round and the attempt of an HTTP call.
-- Params: sagaId uuid, step text, op text
-- Returns: round integer, attempt integer
-- Index: saga_call_pkey
select c.round, c.attempt
  from :schema.saga_call c
 where c.saga_id = $1::uuid and c.step = $2::text and c.op = $3::text;
