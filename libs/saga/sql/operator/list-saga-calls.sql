-- The HTTP calls of a saga that are not void.
-- Params: sagaId uuid
-- Returns: step text, op text, attempt integer, round integer, host text, state text, tries integer, nextAt timestamptz?,
--   isCalling boolean, lastError text?
-- Index: saga_call_pkey
select c.step, c.op, c.attempt, c.round, c.host, c.state, c.tries, c.due_at as "nextAt",
       coalesce(c.lease_until > clock_timestamp(), false) as "isCalling", c.last_error as "lastError"
  from :schema.saga_call c
 where c.saga_id = $1::uuid and c.state <> 'void'
 order by c.step, c.op;
