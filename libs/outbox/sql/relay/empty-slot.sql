-- Empties one slot of the outbox's ring, if all its messages have been moved and are past retention.
-- Params: slot integer, retentionMs bigint
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.outbox_empty_slot($1, $2) as emptied;
