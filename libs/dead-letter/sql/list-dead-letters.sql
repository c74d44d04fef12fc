-- Lists dead letters that match a filter, by id, without payloads. The filter is that of dead_letter_ids.
-- Params: filter jsonb, afterId bigint, limit integer
-- Returns: id bigint, group text, topic text, partition integer, offset bigint, handler text, messageId text?, key text?,
--   reason text, errorClass text, errorMessage text, fingerprint text, attempts integer, state text, redrives integer,
--   replacedBy text?, firstFailedAt timestamptz, lastFailedAt timestamptz
select d.id, g.name as "group", d.topic, d.partition_number as partition, d.log_offset as "offset", d.handler,
       d.message_id as "messageId", d.key, d.reason, d.error_class as "errorClass",
       d.error_message as "errorMessage", d.fingerprint, d.attempts, d.state, d.redrives,
       d.replaced_by as "replacedBy", d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt"
  from :schema.dead_letter_ids($1::jsonb, $2::bigint, $3::integer) as i (id)
  join :schema.dead_letter d on d.id = i.id
  join :schema.consumer_group g on g.id = d.group_id
 order by d.id;
