-- Empties a slot of ended sagas if all of it is older than a number of milliseconds.
-- Params: slot integer, keepMs bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.saga_empty_slot($1, $2) as emptied;
