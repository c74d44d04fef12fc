-- Deletes leases that ended a day ago and have not been claimed since: their work was given up.
-- Params: most integer
-- Returns: none
-- Locks: those leases; locked ones are skipped
select from :schema.lease_forget($1);
