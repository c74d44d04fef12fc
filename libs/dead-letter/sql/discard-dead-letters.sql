-- Discards those of the given dead letters that are open.
-- Params: ids bigint[]
-- Returns: id bigint
-- Locks: the dead letters by id
select d.id from :schema.discard_dead_letters($1) as d (id);
