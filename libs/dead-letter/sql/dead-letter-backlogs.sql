-- Undecided dead letters by group and topic; counted up to 100,000 in all.
-- Params: none
-- Returns: groupName text, topic text, open integer, oldestAgeMs bigint
select g.name as "groupName", d.topic, count(*)::integer as open,
       (extract(epoch from clock_timestamp() - min(d.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select x.group_id, x.topic, x.created_at
          from :schema.dead_letter x where x.state = 'open' limit 100000) d
  join :schema.consumer_group g on g.id = d.group_id
 group by g.name, d.topic
 order by g.name, d.topic;
