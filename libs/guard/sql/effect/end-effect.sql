-- Stores the outcome of an external effect, and returns the one that counts.
-- Params: key text, fence text, state text, outcome text?
-- Returns: state text, outcome text?
-- Locks: the key, until the statement ends
-- Index: external_effect_key, external_effect_outcome_key
select s.state, s.outcome from :schema.effect_settle($1, $2::text::bigint, $3, $4) s;
