-- Empties a slot of decided half messages if all of them are older than the retention.
-- Params: slot integer, retentionMs bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.half_empty_slot($1, $2) as emptied;
