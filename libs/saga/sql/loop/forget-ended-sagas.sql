-- Removes ended sagas from a slot that cannot be emptied as a whole, up to a limit, and returns their number.
-- Params: slot integer, keepMs bigint, most integer
-- Returns: removed integer
-- Locks: their rows
-- Index: saga_ended_pkey, saga_transition_pkey
select :schema.saga_forget_ended($1, $2, $3) as removed;
