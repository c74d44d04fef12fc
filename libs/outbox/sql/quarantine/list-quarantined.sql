-- Lists the quarantined messages that match, by id, without payloads. A null matches everything.
-- Params: ids bigint[]?, topic text?, code text?, role text?, after bigint, limit integer
-- Returns: id bigint, quarantinedAt timestamptz, origin text, code text, reason text, role text, messageId text, topic text,
--   partition integer?, key text?, bytes integer, timerAction smallint?, deliverAt timestamptz?, timerToken text?,
--   publishedAt timestamptz
-- Index: outbox_quarantine_pkey
select q.quarantine_id as id, q.quarantined_at as "quarantinedAt", q.origin, q.reason_code as code, q.reason,
       q.published_by as role, q.message_id::text as "messageId", q.topic, q.partition_number as partition, q.key,
       coalesce(octet_length(q.payload), 0) as bytes, q.timer_action as "timerAction", q.deliver_at as "deliverAt",
       q.timer_token as "timerToken", q.created_at as "publishedAt"
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text)
   and q.quarantine_id > $5
 order by q.quarantine_id
 limit $6;
