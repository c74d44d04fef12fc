-- Draws a portion from the group's retry budget; returns the number of retries granted.
-- Params: groupId integer, wanted integer, perSecond integer, burst integer
-- Returns: granted integer
-- Locks: the group's row of retry_budget
select :schema.retry_budget_draw($1, $2, $3, $4) as granted;
