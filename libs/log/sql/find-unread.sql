-- Groups whose position, as they reported it, is in the oldest bucket: they lose records when it is emptied.
-- Params: none
-- Returns: groupName text, topic text, number integer, position bigint, nextBucketOffset bigint
-- Index: log_segment_pkey, reported_position_pkey
select g.name as "groupName", t.name as topic, p.number, c.position, n.first_offset as "nextBucketOffset"
  from :bus.log_segment s
  join :bus.topic_partition p on p.id = s.partition_id
  join :bus.topic t on t.id = p.topic_id
  join :bus.partition_owner o on o.partition_id = s.partition_id
  join :bus.consumer_group g on g.id = o.group_id
  cross join lateral (select min(x.first_offset) as first_offset from :bus.log_segment x
                       where x.partition_id = s.partition_id and x.bucket_seq > s.bucket_seq) n
  join :bus.reported_position c on c.group_id = o.group_id and c.partition_id = s.partition_id
 where s.bucket_seq = (select min(b.seq) from :bus.log_bucket b)
   and c.position < n.first_offset;
