-- Continues an external effect under a new fence and lease, or with a lease of 0 lets others begin. The fence is null
-- if another process has begun since, or it is decided.
-- Params: key text, fence text, leaseMs bigint
-- Returns: fence text?
-- Locks: the key, until the statement ends
-- Index: external_effect_key, external_effect_outcome_key
select :schema.effect_go_on($1, $2::text::bigint, $3)::text as fence;
