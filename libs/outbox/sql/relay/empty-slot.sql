-- Empties one slot of the outbox's ring, when everything in it has been moved and is past retention.
-- Params: slot integer, retentionMs bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.outbox_empty_slot($1, $2) as emptied;
