-- Counts the dead letters that match a filter by kind of failure; most frequent first.
-- Params: filter jsonb, limit integer
-- Returns: fingerprint text, group text, topic text, handler text, errorClass text, errorMessage text, count bigint,
--   firstFailedAt timestamptz, lastFailedAt timestamptz, newestId bigint
select d.fingerprint, g.name as "group", d.topic, d.handler, d.error_class as "errorClass",
       (array_agg(d.error_message order by d.id desc))[1] as "errorMessage", count(*) as count,
       min(d.first_failed_at) as "firstFailedAt", max(d.last_failed_at) as "lastFailedAt", max(d.id) as "newestId"
  from :schema.dead_letter_ids($1::jsonb, 0, 2147483647) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 group by d.fingerprint, g.name, d.topic, d.handler, d.error_class
 order by count(*) desc, max(d.id) desc
 limit $2;
