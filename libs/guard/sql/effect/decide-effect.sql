-- Decides an external effect, and returns its state before; see the function.
-- Params: key text, decision text, outcome text?, statedBy text, reason text?
-- Returns: state text?
-- Locks: the key, until the statement ends
select :schema.decide_effect($1, $2, $3::text, $4, $5::text) as state;
