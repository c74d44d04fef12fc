-- Every topic with its partitions, as the service's copy has them, by name and number.
-- Params: none
-- Returns: topicId integer, topic text, retentionMs bigint, onDeadLetter text, onExpired text,
--   backlogMaxMessages bigint?, backlogMaxBytes bigint?, number integer, partitionId integer
-- Index: the whole of two small tables
select t.id as "topicId", t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", t.backlog_max_messages as "backlogMaxMessages",
       t.backlog_max_bytes as "backlogMaxBytes", p.number, p.id as "partitionId"
  from :schema.topic t
  join :schema.topic_partition p on p.topic_id = t.id
 order by t.name, p.number;
