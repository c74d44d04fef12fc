-- The unique identity of this database: cluster, database, and the schema's oid.
-- Params: schemaName text
-- Returns: identity text
select (select c.system_identifier from pg_control_system() c)::text
       || '/' || (select d.oid from pg_database d where d.datname = current_database())::text
       || '/' || coalesce((select n.oid from pg_namespace n where n.nspname = $1), 0)::text as identity;
