-- Removes the members whose leases have expired. The caller holds the group's lock.
-- Params: groupId integer
-- Returns: memberId text
delete from :bus.group_member m
 where m.group_id = $1 and m.lease_until <= clock_timestamp()
returning m.member_id::text as "memberId";
