-- Parked messages by group and topic, and how long the oldest has waited; counted up to 100,000 in all.
-- Params: none
-- Returns: groupName text, topic text, parked integer, oldestAgeMs bigint
select g.name as "groupName", t.name as topic, count(*)::integer as parked,
       (extract(epoch from clock_timestamp() - min(m.parked_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select x.group_id, x.partition_id, x.parked_at from :schema.parked_message x limit 100000) m
  join :schema.consumer_group g on g.id = m.group_id
  join :schema.topic_partition p on p.id = m.partition_id
  join :schema.topic t on t.id = p.topic_id
 group by g.name, t.name
 order by g.name, t.name;
