-- Empties the oldest slot of the ring of passes, after carrying forward the newest of each source.
-- Params: none
-- Returns: emptied boolean
-- Locks: that slot, for at most 50 ms of waiting
select :bus.log_source_recycle() as emptied;
