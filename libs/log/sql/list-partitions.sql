-- Every topic with its partitions, by name and number.
-- Params: none
-- Returns: topic text, retentionMs bigint, onDeadLetter text, onExpired text, number integer, partitionId integer
-- Index: the whole of two small tables
select t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", p.number, p.id as "partitionId"
  from :schema.topic t
  join :schema.topic_partition p on p.topic_id = t.id
 order by t.name, p.number;
