-- Moves scheduled messages to another time, by their ids and by tokens: to a time, or by a delay from now.
-- Params: messageIds uuid[], tokens text[], dueMs bigint?, delayMs bigint?
-- Returns: moved integer, dueMs bigint
-- Locks: their rows; 40001 when one is just being moved between slots
-- Index: timer_message, timer_token
select r.moved, r.due_ms as "dueMs"
  from :schema.timer_reschedule(
         $1, $2, coalesce(timestamptz 'epoch' + $3::bigint::double precision * interval '1 millisecond',
                          clock_timestamp() + $4::bigint::double precision * interval '1 millisecond')) r;
