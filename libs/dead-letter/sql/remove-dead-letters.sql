-- Removes dead letters, with all their content.
-- Params: ids bigint[]
-- Returns: none
-- Index: dead_letter_pkey
delete from :schema.dead_letter d where d.id = any ($1);
