-- Ends a try of an HTTP call; see the function. No row if it is no longer the newest try.
-- Params: sagaId uuid, branch text, op text, token uuid, attempt integer, outcome text, retryMs bigint, begun boolean,
--   rejected boolean, tries integer, why text?
-- Returns: attempt integer
-- Locks: the call
-- Index: saga_call_pkey
select e.attempt
  from :schema.saga_call_end_try($1::uuid, $2::text, $3::text, $4::uuid, $5::integer, $6::text, $7::bigint, $8::boolean,
                                 $9::boolean, $10::integer, $11::text) e (attempt);
