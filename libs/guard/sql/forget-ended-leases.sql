-- Forgets leases that ended a day ago and that nobody has claimed since: their work was given up.
-- Params: most integer
-- Returns: none
-- Locks: those leases; those that are locked are left out
select from :schema.lease_forget($1);
