-- How long the oldest bucket of the log has been open or closed, the longest retention of a topic, and the number of
-- buckets in use.
-- Params: none
-- Returns: oldestAgeMs bigint, longestRetentionMs bigint, buckets integer
-- Index: the whole of two small tables
select floor(extract(epoch from clock_timestamp() - min(b.opened_at)) * 1000.0)::bigint as "oldestAgeMs",
       coalesce((select max(t.retention_ms) from :bus.topic t), 0::bigint) as "longestRetentionMs", count(*)::integer as buckets
  from :bus.log_bucket b;
