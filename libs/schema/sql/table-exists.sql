-- Whether the ledger and the schema exist.
-- Params: schemaName text
-- Returns: schemaExists boolean, ledgerExists boolean
select exists (select from pg_namespace n where n.nspname = $1) as "schemaExists",
       exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = 'migration') as "ledgerExists";
