-- Redrives those of the given dead letters that are open.
-- Params: ids bigint[]
-- Returns: redriven bigint
-- Locks: the dead letters by id
select :schema.redrive_dead_letters($1) as redriven;
