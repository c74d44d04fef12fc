-- The members of a group, and whether their leases are valid.
-- Params: groupId integer
-- Returns: memberId text, topics text[], alive boolean
select m.member_id::text as "memberId", m.topics, m.lease_until > clock_timestamp() as alive
  from :bus.group_member m
 where m.group_id = $1
 order by m.member_id;
