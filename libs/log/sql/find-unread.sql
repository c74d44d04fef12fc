-- Groups whose position is in the oldest bucket: they lose records when it is emptied.
-- Params: none
-- Returns: groupName text, topic text, number integer, position bigint, nextBucketOffset bigint
-- Index: log_segment_pkey, consumer_position_newest
select g.name as "groupName", t.name as topic, p.number, c.position, n.first_offset as "nextBucketOffset"
  from :schema.log_segment s
  join :schema.topic_partition p on p.id = s.partition_id
  join :schema.topic t on t.id = p.topic_id
  join :schema.partition_owner o on o.partition_id = s.partition_id
  join :schema.consumer_group g on g.id = o.group_id
  cross join lateral (select min(x.first_offset) as first_offset from :schema.log_segment x
                       where x.partition_id = s.partition_id and x.bucket_seq > s.bucket_seq) n
  cross join lateral (select x.position from :schema.consumer_position x
                       where x.group_id = o.group_id and x.partition_id = s.partition_id
                       order by x.owner_epoch desc, x.position desc, x.id desc limit 1) c
 where s.bucket_seq = (select min(b.seq) from :schema.log_bucket b)
   and c.position < n.first_offset;
