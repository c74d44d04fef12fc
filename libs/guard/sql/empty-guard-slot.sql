-- Empties a slot of the results of leases, if all have expired.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.guard_empty_slot($1) as emptied;
