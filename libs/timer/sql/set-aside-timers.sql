-- Sets messages aside whose timers cannot be fired.
-- Params: timerIds bigint[], messageIds uuid[], tokens text[], topics text[], partitions integer[], keys text[],
--   headers text[], payloads bytea[], dueMs bigint[], codes text[], reasons text[]
-- Returns: none
-- Locks: none but the new rows
select :schema.timer_set_aside($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
