-- Removes records of what operators did that are past their time, up to so many.
-- Params: olderThanMs bigint, most integer
-- Returns: removed bigint
-- Index: operator_action_acted
select :schema.audit_forget($1, $2) as removed;
