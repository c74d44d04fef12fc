-- The dead letters of a group, newest first, without their payloads.
-- Params: groupName text, limit integer
-- Returns: id bigint, topic text, partition integer, offset bigint, messageId text?, key text?, reason text,
--   errorClass text, errorMessage text, fingerprint text, attempts integer, firstFailedAt timestamptz,
--   lastFailedAt timestamptz
select d.id, d.topic, d.partition_number as partition, d.log_offset as "offset", d.message_id as "messageId", d.key,
       d.reason, d.error_class as "errorClass", d.error_message as "errorMessage", d.fingerprint, d.attempts,
       d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt"
  from :schema.dead_letter d
  join :schema.consumer_group g on g.id = d.group_id
 where g.name = $1
 order by d.id desc
 limit $2;
