-- Removes the member from the group.
-- Params: groupId integer, memberId uuid
-- Returns: none
delete from :bus.group_member m where m.group_id = $1 and m.member_id = $2;
