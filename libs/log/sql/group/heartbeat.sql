-- Extends the member's lease, or joins the group.
-- Params: groupId integer, memberId uuid, topics text[], leaseMs integer
-- Returns: none
-- Locks: the member's row
select :bus.group_heartbeat($1, $2, $3, $4);
