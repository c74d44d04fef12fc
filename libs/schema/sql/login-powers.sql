-- What a login may do because of its attributes, ownership and memberships, without grants. No row: there is no such
-- role.
-- Params: login text, schemaName text
-- Returns: superuser boolean, bypassesRowSecurity boolean, createsRoles boolean, replicates boolean,
--   owned text[], memberOf text[], members text[]
select r.rolsuper as superuser, r.rolbypassrls as "bypassesRowSecurity", r.rolcreaterole as "createsRoles",
       r.rolreplication as replicates,
       array(select o.name
               from (select 'schema '::text || n.nspname::text as name, n.nspowner as owner from pg_namespace n where n.nspname = $2
                     union all
                     select c.relname::text, c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
                      where n.nspname = $2 and c.relkind in ('r', 'p', 'S', 'v', 'm', 'f') and not c.relispartition
                     union all
                     select f.proname::text, f.proowner from pg_proc f join pg_namespace n on n.oid = f.pronamespace
                      where n.nspname = $2) o
              where not r.rolsuper and pg_has_role(r.oid, o.owner, 'MEMBER')
              order by o.name !~ '^schema '::text, o.name) as owned,
       array(select g.rolname::text from pg_roles g
              where not r.rolsuper and g.oid <> r.oid and pg_has_role(r.oid, g.oid, 'MEMBER')
              order by 1) as "memberOf",
       array(select m.rolname::text from pg_roles m
              where not m.rolsuper and m.oid <> r.oid and pg_has_role(m.oid, r.oid, 'MEMBER')
              order by 1) as members
  from pg_roles r
 where r.rolname = $1::name;
