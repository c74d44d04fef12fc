-- Removes expired records of operators' actions, up to a limit.
-- Params: olderThanMs bigint, most integer
-- Returns: removed bigint
-- Index: operator_action_acted
select :schema.audit_forget($1, $2) as removed;
