-- Stores a recurring message, and a timer for its first run unless the definition is unchanged.
-- Params: name text, topic text, partition integer?, key text?, headers text?, payload bytea?, cron text?,
--   timeZone text?, everyMs bigint?, missed text, firstRunMs bigint
-- Returns: changed boolean, dueMs bigint?
-- Locks: its row
select p.changed, p.due_ms as "dueMs"
  from :schema.recurring_put($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, $11) p;
