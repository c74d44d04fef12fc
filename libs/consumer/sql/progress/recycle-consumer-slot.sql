-- Empties one slot of positions and marks, after carrying forward what is still needed.
-- Params: slot integer
-- Returns: emptied boolean
-- Locks: the slot's two tables, for at most 50 ms of waiting
select :schema.consumer_recycle($1) as emptied;
