-- Tables of the schema with foreign row-level security that applies to this login, and whether any policy admits rows.
-- Our own policies are named waybill_…: they hide only rows that the login is restricted from.
-- Params: schemaName text
-- Returns: name text, hasPolicy boolean
select c.relname as name, exists (select from pg_policy p where p.polrelid = c.oid) as "hasPolicy"
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = $1 and c.relkind in ('r', 'p') and c.relrowsecurity and row_security_active(c.oid)
   and (exists (select from pg_policy p where p.polrelid = c.oid and p.polname !~ '^waybill_'::text)
        or not exists (select from pg_policy p where p.polrelid = c.oid))
 order by c.relname;
