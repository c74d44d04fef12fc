-- Claims due HTTP calls, up to a limit per host; see the function. The commit is flushed to disk.
-- Params: replyTopic text, definitions text[], hosts text[], places integer[], most integer, timeoutMs integer,
--   marginMs integer
-- Returns: sagaId uuid, branch text, op text, step text, attempt integer, round integer, definition text, payload jsonb,
--   tries integer, begun boolean, isEmpty boolean, token uuid, leaseMs integer
-- Locks: the calls
-- Index: saga_call_due
select c.saga_id as "sagaId", c.branch, c.op, c.step, c.attempt, c.round, c.definition, c.payload, c.tries, c.begun,
       c.is_empty as "isEmpty", c.token, c.lease_ms as "leaseMs"
  from :schema.saga_calls_claim($1::text, $2::text[], $3::text[], $4::integer[], $5::integer, $6::integer,
                                $7::integer) c;
