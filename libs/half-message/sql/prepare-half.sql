-- Stores a half message. The times are in milliseconds; the deadline is optional.
-- Params: id uuid, group text, immunityMs bigint, deadlineMs bigint?, intervalMs bigint, checkMax integer, local jsonb?,
--   messages jsonb, payloads bytea[]
-- Returns: nowMs bigint
-- Locks: none but the new row
select :schema.half_prepare($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9) as "nowMs";
