-- Begins an external effect, or undoing it; returns what to do. again: also after a refusal.
-- Params: key text, leaseMs bigint, undoing boolean, fingerprint text?, again boolean
-- Returns: state text, fence text?, retryMs bigint?, outcome text?, refusals bigint
-- Locks: the key, until the statement ends
-- Index: external_effect_key, external_effect_outcome_key
select b.state, b.fence::text as fence, b.retry_ms as "retryMs", b.outcome, b.refusals
  from :schema.effect_begin($1, $2, $3, $4::text, $5::boolean) b;
