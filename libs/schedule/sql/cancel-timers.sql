-- Cancels scheduled messages, by their ids and by tokens.
-- Params: messageIds uuid[], tokens text[]
-- Returns: cancelled integer
-- Locks: their rows; 40001 when one is just being moved between slots
-- Index: timer_message, timer_token
select :schema.timer_cancel($1, $2) as cancelled;
