-- Empties a slot of the message-id guard's ring, if every row in it has expired.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.message_empty_slot($1) as emptied;
