-- The recurring messages of these names.
-- Params: names text[]
-- Returns: name text, topic text, partition integer?, key text?, headers text?, payload bytea?, cron text?,
--   timeZone text?, everyMs bigint?, missed text, revision bigint,
--   scheduledMs bigint
select r.name, r.topic, r.partition_number as partition, r.key, r.headers::text as headers, r.payload, r.cron,
       r.time_zone as "timeZone", r.every_ms as "everyMs", r.missed, r.revision,
       :schema.timer_ms(r.scheduled_at) as "scheduledMs"
  from :schema.recurring_message r
 where r.name = any ($1);
