-- Removes what is scheduled or prepared and was published in the time that was lost; after relay-reconcile.
-- Params: inLog uuid[]
-- Returns: forgotten bigint
-- Locks: the rows of timers and half messages
select :schema.forget_published($1::uuid[]) as forgotten;
