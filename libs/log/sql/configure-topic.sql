-- Changes a topic's retention, handling, and limits in the outbox; null leaves a setting unchanged, and 0
-- removes a limit.
-- Params: name text, retentionMs bigint?, onDeadLetter text?, onExpired text?, backlogMaxMessages bigint?,
--   backlogMaxBytes bigint?
-- Returns: name text
update :bus.topic t
   set retention_ms = coalesce($2, t.retention_ms), on_dead_letter = coalesce($3, t.on_dead_letter),
       on_expired = coalesce($4, t.on_expired),
       backlog_max_messages = nullif(coalesce($5, t.backlog_max_messages), 0),
       backlog_max_bytes = nullif(coalesce($6, t.backlog_max_bytes), 0)
 where t.name = $1
returning t.name;
