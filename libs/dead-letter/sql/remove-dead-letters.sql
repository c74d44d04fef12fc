-- Removes dead letters, with all that they hold.
-- Params: ids bigint[]
-- Returns: none
-- Index: dead_letter_pkey
delete from :schema.dead_letter d where d.id = any ($1);
