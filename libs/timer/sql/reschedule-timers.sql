-- Moves scheduled messages to another time, by their ids and by tokens: to a time, or by a delay from now;
-- those that a login (null: the session's) may publish.
-- Params: messageIds uuid[], tokens text[], dueMs bigint?, delayMs bigint?, asker text?
-- Returns: moved integer, dueMs bigint
-- Locks: their rows; 40001 when one is just being moved between slots
-- Index: timer_message, timer_token
select r.moved, r.due_ms as "dueMs"
  from :schema.timer_reschedule(
         $1, $2, coalesce(timestamptz 'epoch' + $3::bigint::double precision * interval '1 millisecond',
                          clock_timestamp() + $4::bigint::double precision * interval '1 millisecond'), $5) r;
