-- One dead letter with all its values.
-- Params: id bigint
-- Returns: id bigint, group text, topic text, partition integer, offset bigint, handler text, messageId text?, key text?,
--   reason text, errorClass text, errorMessage text, fingerprint text, attempts integer, state text, redrives integer,
--   replacedBy text?, firstFailedAt timestamptz, lastFailedAt timestamptz, errorCode text?, errorStack text?,
--   headers text, payload bytea?, timestampMs bigint
select d.id, g.name as "group", d.topic, d.partition_number as partition, d.log_offset as "offset", d.handler,
       d.message_id as "messageId", d.key, d.reason, d.error_class as "errorClass",
       d.error_message as "errorMessage", d.fingerprint, d.attempts, d.state, d.redrives,
       d.replaced_by as "replacedBy", d.first_failed_at as "firstFailedAt", d.last_failed_at as "lastFailedAt",
       d.error_code as "errorCode", d.error_stack as "errorStack", d.headers::text as headers, d.payload,
       d.timestamp_ms as "timestampMs"
  from :schema.dead_letter d
  join :schema.consumer_group g on g.id = d.group_id
 where d.id = $1;
