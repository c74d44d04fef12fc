-- What this login may not do in Waybill's schema, of what a service that does everything needs.
-- Params: schemaName text
-- Returns: relation text, privileges text
select c.relname::text as relation, string_agg(lower(p.name), ', ' order by p.place) as privileges
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 cross join (values (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (4, 'DELETE'), (5, 'TRUNCATE')) p (place, name)
 where n.nspname = $1
   and c.relkind in ('r', 'p')
   and (c.relname <> 'migration' or p.name = 'SELECT')
   and not (has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, p.name))
 group by c.relname
 order by c.relname;
