-- Schedules messages for later, in the order of the arrays; times in milliseconds since the epoch. A time in the past
-- means now. Topics are those of the log, and are not looked up.
-- Params: messageIds uuid[], tokens text[], topics text[], partitions integer[], keys text[], headers text[],
--   payloads bytea[], dueMs bigint[]
-- Returns: dueMs bigint
-- Locks: none but the new rows
select s.due_ms as "dueMs" from :schema.timer_schedule($1, $2, $3, $4, $5, $6, $7, $8) s;
