-- Claims a name, for work outside transactions.
-- Params: name text, fingerprint text?, leaseMs bigint
-- Returns: state text, fence text?, retryMs bigint?, result text?, fingerprint text?
-- Locks: the name, until the statement ends
-- Index: guard_outcome_name, guard_lease_pkey
select c.state, c.fence::text as fence, c.retry_ms as "retryMs", c.result, c.fingerprint
  from :schema.lease_claim($1, $2, $3) c;
