-- Fails the current transaction, so that the barrier's row cannot be committed without the work.
-- Params: none
-- Returns: none
select from :schema.barrier_abandon();
