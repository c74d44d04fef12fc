-- The topics that some partitions belong to, with all their partitions, by number.
-- Params: partitionIds integer[]
-- Returns: topicId integer, topic text, retentionMs bigint, onDeadLetter text, onExpired text,
--   backlogMaxMessages bigint?, backlogMaxBytes bigint?, number integer, partitionId integer
-- Index: topic_partition_pkey, topic_pkey, topic_partition_topic_id_number_key
select t.id as "topicId", t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", t.backlog_max_messages as "backlogMaxMessages",
       t.backlog_max_bytes as "backlogMaxBytes", p.number, p.id as "partitionId"
  from :bus.topic t
  join :bus.topic_partition p on p.topic_id = t.id
 where t.id in (select w.topic_id from :bus.topic_partition w where w.id = any ($1::integer[]))
 order by t.id, p.number;
