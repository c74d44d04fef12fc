-- The messages that wait for the relay, by topic and publishing login, largest first (counted up to 100,000 in all),
-- and whether further messages of the topic are refused.
-- Params: most integer
-- Returns: topic text, role text, waiting bigint, bytes bigint, oldestAgeMs bigint, full text?
-- Index: outbox_xid
select b.topic, b.published_by as role, b.waiting, b.bytes,
       (extract(epoch from clock_timestamp() - b.oldest_at) * 1000.0)::bigint as "oldestAgeMs", t.outbox_full as "full"
  from :schema.outbox_backlogs(100000) b
  left join :schema.topic t on t.name = b.topic
 limit $1;
