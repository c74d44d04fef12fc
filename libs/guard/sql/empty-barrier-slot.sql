-- Empties a slot of the barrier whose operations are all older than it remembers.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.barrier_empty_slot($1) as emptied;
