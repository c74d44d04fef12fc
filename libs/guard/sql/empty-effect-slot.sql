-- Empties a slot of external effects if all are older than the retention; undecided ones are carried forward.
-- Params: slot integer, retentionMs bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.effect_empty_slot($1, $2) as emptied;
