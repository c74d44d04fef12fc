-- The live members of a group: since when, their subscriptions, and how many partitions each owns.
-- Params: groupName text
-- Returns: memberId text, joinedAt timestamptz, topics text[], partitions integer
select m.member_id::text as "memberId", m.joined_at as "joinedAt", m.topics,
       (select count(*)::integer from :bus.partition_owner o
         where o.group_id = m.group_id and o.owner_id = m.member_id) as partitions
  from :bus.consumer_group g
  join :bus.group_member m on m.group_id = g.id
 where g.name = $1 and m.lease_until > clock_timestamp()
 order by m.joined_at, m.member_id;
