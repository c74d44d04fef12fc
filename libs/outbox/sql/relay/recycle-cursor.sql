-- Empties the next slot of the cursor's ring.
-- Params: none
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.relay_cursor_recycle() as emptied;
