-- Forgets leases that ended a day ago and that nobody has claimed since: their work was given up.
-- Params: most integer
-- Returns: none
-- Locks: those leases; those that are locked are left out
delete from :schema.guard_lease l
 where l.name in (select e.name from :schema.guard_lease e
                   where e.lease_until < clock_timestamp() - interval '1 day'
                   limit $1 for update skip locked);
