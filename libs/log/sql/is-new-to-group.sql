-- Whether a topic was created after a member of the group that subscribes to it had joined: all that is in it is new to the
-- group. A member says with its heartbeats to which topics it subscribes; a topic that matches a pattern, once it is there.
-- Params: groupId integer, topic text
-- Returns: isNew boolean
-- Index: group_member_pkey, topic_name_key
select exists (select from :schema.group_member m
                 join :schema.topic t on t.name = $2::text
                where m.group_id = $1 and t.name = any (m.topics) and m.joined_at <= t.created_at) as "isNew";
