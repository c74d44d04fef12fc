-- Each group's lag in each partition that it owns or has owned, and how long its first record that is
-- not done has been in the log. By the positions that members report every few seconds.
-- Params: none
-- Returns: groupName text, topic text, number integer, lag bigint, oldestAgeMs bigint?
-- Index: reported_position_pkey, log_batch_offset
with place as materialized (
  select p.id, t.name as topic, p.number, l.start_offset, l.end_offset
    from :bus.topic_partition p
    join :bus.topic t on t.id = p.topic_id
    cross join lateral :bus.log_offsets(array[p.id]) l
   where exists (select from :bus.partition_owner o where o.partition_id = p.id)
)
select g.name as "groupName", p.topic, p.number, p.end_offset - c.position as lag,
       (select (extract(epoch from clock_timestamp() - b.appended_at) * 1000.0)::bigint
          from :bus.log_batch b
         where c.position < p.end_offset and b.partition_id = p.id and b.last_offset >= c.position
         order by b.last_offset limit 1) as "oldestAgeMs"
  from :bus.consumer_group g
  join :bus.partition_owner o on o.group_id = g.id
  join place p on p.id = o.partition_id
  cross join lateral (
    select greatest(p.start_offset,
                    coalesce((select x.position from :bus.reported_position x
                               where x.group_id = g.id and x.partition_id = p.id), p.start_offset)) as position) c
 order by g.name, p.topic, p.number;
