-- Schedules one message, after a delay by the database's clock or at a time; one of them is given. The topic is looked
-- up.
-- Params: messageId uuid, token text?, topic text, partition integer?, key text?, headers text?, payload bytea?,
--   dueMs bigint?, delayMs bigint?
-- Returns: dueMs bigint
-- Locks: none but the new row
select s.due_ms as "dueMs"
  from :schema.timer_schedule(
         array[$1::uuid], array[$2::text], array[:schema.known_topic($3::text, $4::integer)], array[$4::integer],
         array[$5::text], array[$6::text], array[$7::bytea],
         array[coalesce($8::bigint, :schema.timer_ms(clock_timestamp()) + 1 + $9::bigint)]) s;
