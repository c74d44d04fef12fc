-- Empties a slot of what leases have brought about, when all of it may be forgotten.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.guard_empty_slot($1) as emptied;
