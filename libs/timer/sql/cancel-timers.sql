-- Cancels scheduled messages by ids and tokens, if a login (null: the session's) may publish them.
-- Params: messageIds uuid[], tokens text[], asker text?
-- Returns: cancelled integer
-- Locks: their rows; 40001 if one is being moved between slots
-- Index: timer_message, timer_token
select :schema.timer_cancel($1, $2, $3) as cancelled;
