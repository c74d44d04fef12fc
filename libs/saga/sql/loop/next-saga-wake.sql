-- In how many milliseconds the next saga is due; no row if none waits.
-- Params: replyTopic text
-- Returns: inMs bigint
-- Index: saga_wake
select ceil(extract(epoch from min(s.wake_at) - clock_timestamp()) * 1000.0)::bigint as "inMs"
  from :schema.saga s
 where s.reply_topic = $1::text and s.wake_at is not null
having min(s.wake_at) is not null;
