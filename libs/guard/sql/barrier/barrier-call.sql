-- Passes the barrier with an operation of a distributed transaction, as the first write of its transaction.
-- Params: gid text, branch text, op text, origin text?, waitMs integer, retentionMs bigint, begunMs bigint,
--   originBegunMs bigint, originDone boolean
-- Returns: outcome text, result text?
-- Locks: the new rows, until the transaction ends
-- Index: barrier_pkey
select c.outcome, c.result
  from :schema.barrier_call($1, $2, $3, $4::text, $5::integer, $6::bigint, $7::bigint, $8::bigint, $9::boolean) c;
