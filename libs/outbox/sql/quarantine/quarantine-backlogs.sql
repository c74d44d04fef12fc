-- Counts the quarantined messages by topic and reason, largest first (up to 100,000 in all), and since when.
-- Params: most integer
-- Returns: topic text, code text, messages integer, oldestAgeMs bigint
select q.topic, q.reason_code as code, count(*)::integer as messages,
       (extract(epoch from clock_timestamp() - min(q.quarantined_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.topic, o.reason_code, o.quarantined_at from :schema.outbox_quarantine o limit 100000) q
 group by q.topic, q.reason_code
 order by count(*) desc, q.topic, q.reason_code
 limit $1;
