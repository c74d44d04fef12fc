-- Empties the next slot of the ring of passes.
-- Params: none
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :schema.relay_intent_recycle() as emptied;
