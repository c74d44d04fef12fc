-- All rights of a login on the objects of the schema, from grants to itself, to roles that it inherits from, or to
-- PUBLIC. Slots of rings only if something was granted on them.
-- Params: login text, schemaName text
-- Returns: kind text, name text, columnName text?, privilege text, byAll boolean
select 'schema' as kind, ''::text as name, null::text as "columnName", lower(p.name) as privilege,
       has_schema_privilege('public'::name, n.oid, p.name) as "byAll"
  from pg_namespace n
 cross join (values ('USAGE'), ('CREATE')) p (name)
 where n.nspname = $2 and has_schema_privilege($1::name, n.oid, p.name)
union all
select 'table', c.relname::text, null, lower(p.name), has_table_privilege('public'::name, c.oid, p.name)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) p (name)
 where n.nspname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege($1::name, c.oid, p.name)
union all
select 'table', c.relname::text, a.attname::text, lower(p.name),
       has_column_privilege('public'::name, c.oid, a.attnum, p.name)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attacl is not null
 cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) p (name)
 where n.nspname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
   and has_column_privilege($1::name, c.oid, a.attnum, p.name) and not has_table_privilege($1::name, c.oid, p.name)
union all
select 'sequence', c.relname::text, null, lower(p.name), has_sequence_privilege('public'::name, c.oid, p.name)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 cross join (values ('USAGE'), ('SELECT'), ('UPDATE')) p (name)
 where n.nspname = $2 and c.relkind = 'S' and has_sequence_privilege($1::name, c.oid, p.name)
union all
select distinct 'function', f.proname::text, null, 'execute', has_function_privilege('public'::name, f.oid, 'EXECUTE')
  from pg_proc f
  join pg_namespace n on n.oid = f.pronamespace
 where n.nspname = $2 and has_function_privilege($1::name, f.oid, 'EXECUTE')
 order by 1, 2, 3, 4;
