-- Moves scheduled messages, by ids and tokens, to another time: a time, or a delay from now;
-- if a login (null: the session's) may publish them.
-- Params: messageIds uuid[], tokens text[], dueMs bigint?, delayMs bigint?, asker text?
-- Returns: moved integer, dueMs bigint
-- Locks: their rows; 40001 if one is being moved between slots
-- Index: timer_message, timer_token
select r.moved, r.due_ms as "dueMs"
  from :schema.timer_reschedule(
         $1, $2, coalesce(timestamptz 'epoch' + $3::bigint::double precision * interval '1 millisecond',
                          clock_timestamp() + $4::bigint::double precision * interval '1 millisecond'), $5) r;
