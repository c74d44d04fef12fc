-- Counts the quarantined messages that match. A null matches everything.
-- Params: ids bigint[]?, topic text?, code text?, role text?
-- Returns: count integer
select count(*)::integer as count
  from :schema.outbox_quarantine q
 where ($1::bigint[] is null or q.quarantine_id = any ($1::bigint[]))
   and ($2::text is null or q.topic = $2::text)
   and ($3::text is null or q.reason_code = $3::text)
   and ($4::text is null or q.published_by = $4::text);
