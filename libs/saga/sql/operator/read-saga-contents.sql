-- The contents of some running sagas.
-- Params: ids uuid[]
-- Returns: id uuid, content jsonb
-- Index: saga_pkey
select s.id, s.content::text as content from :schema.saga s where s.id = any ($1::uuid[]);
