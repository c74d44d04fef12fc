-- Those of some topics that were created after a member of the group that subscribes to it had joined: all their
-- records are new to the group. A member reports its topics with its heartbeats; a topic that matches a pattern, once
-- it exists.
-- Params: groupId integer, topics text[]
-- Returns: topic text
-- Index: group_member_pkey, topic_name_key
select t.name as topic
  from :bus.topic t
 where t.name = any ($2::text[])
   and t.created_at >= (select min(m.joined_at) from :bus.group_member m where m.group_id = $1)
   and exists (select from :bus.group_member m
                where m.group_id = $1 and m.joined_at <= t.created_at and t.name = any (m.topics));
