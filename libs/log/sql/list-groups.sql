-- Every consumer group, with its live members and their topics.
-- Params: none
-- Returns: groupName text, createdAt timestamptz, members integer, topics text[]
-- Index: the whole of two small tables
select g.name as "groupName", g.created_at as "createdAt",
       (select count(*)::integer from :bus.group_member m
         where m.group_id = g.id and m.lease_until > clock_timestamp()) as members,
       array(select distinct topic
               from :bus.group_member m cross join unnest(m.topics) as topic
              where m.group_id = g.id and m.lease_until > clock_timestamp()
              order by topic) as topics
  from :bus.consumer_group g
 order by g.name;
