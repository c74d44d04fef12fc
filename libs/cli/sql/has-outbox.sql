-- Whether the schema is the whole, and not only what a participant's own database needs.
-- Params: schemaName text
-- Returns: whole boolean
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = 'outbox') as whole;
