-- The topics that some partitions belong to, with all their partitions, by number.
-- Params: partitionIds integer[]
-- Returns: topic text, retentionMs bigint, onDeadLetter text, onExpired text, number integer, partitionId integer
-- Index: topic_partition_pkey, topic_pkey, topic_partition_topic_id_number_key
select t.name as topic, t.retention_ms as "retentionMs", t.on_dead_letter as "onDeadLetter",
       t.on_expired as "onExpired", p.number, p.id as "partitionId"
  from :schema.topic t
  join :schema.topic_partition p on p.topic_id = t.id
 where t.id in (select w.topic_id from :schema.topic_partition w where w.id = any ($1::integer[]))
 order by t.id, p.number;
