-- Cancels scheduled messages, by their ids and by tokens, those that a login (null: the session's) may publish.
-- Params: messageIds uuid[], tokens text[], asker text?
-- Returns: cancelled integer
-- Locks: their rows; 40001 when one is just being moved between slots
-- Index: timer_message, timer_token
select :schema.timer_cancel($1, $2, $3) as cancelled;
