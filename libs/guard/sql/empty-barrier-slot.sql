-- Empties a slot of the barrier if all its operations are older than the barrier's retention.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.barrier_empty_slot($1) as emptied;
