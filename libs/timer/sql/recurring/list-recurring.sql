-- All recurring messages, with their next runs.
-- Params: none
-- Returns: name text, topic text, partition integer?, key text?, cron text?, timeZone text?, everyMs bigint?,
--   missed text, nextRunMs bigint?
-- Index: timer_token
select r.name, r.topic, r.partition_number as partition, r.key, r.cron, r.time_zone as "timeZone",
       r.every_ms as "everyMs", r.missed,
       (select (t.headers->>'runAtMs'::text)::bigint from :schema.timer t
         where t.token = r.name and t.kind = 2 and (t.headers->>'revision'::text)::bigint = r.revision
         limit 1) as "nextRunMs"
  from :schema.recurring_message r
 order by r.name;
