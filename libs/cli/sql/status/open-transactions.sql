-- The sessions with an open transaction in this database, and standbys that hold a snapshot through their walsender;
-- also sessions with these pids. Oldest first. Of others a login without pg_read_all_stats sees neither state, nor age,
-- nor query; then only those that hold a snapshot or a transaction id are known. locks: what each holds on tables of the
-- two schemas, stronger than for reading. A session that is still starting, of no login yet, holds its snapshot for moments.
-- Params: schemaName text, busSchemaName text, alsoPids integer[], most integer
-- Returns: pid integer, login text?, applicationName text?, backendType text?, state text?, ageMs bigint?, stateAgeMs bigint?,
--   xidAge integer?, query text?, isVisible boolean, locks text[]
select a.pid, a.usename::text as login, a.application_name as "applicationName", a.backend_type as "backendType", a.state,
       floor(extract(epoch from clock_timestamp() - a.xact_start) * 1000.0)::bigint as "ageMs",
       floor(extract(epoch from clock_timestamp() - a.state_change) * 1000.0)::bigint as "stateAgeMs",
       greatest(age(a.backend_xmin), age(a.backend_xid)) as "xidAge",
       case when pg_has_role(a.usesysid, 'USAGE') or pg_has_role('pg_read_all_stats', 'USAGE') then a.query end as query,
       coalesce(pg_has_role(a.usesysid, 'USAGE'), false) or pg_has_role('pg_read_all_stats', 'USAGE') as "isVisible",
       array(select distinct c.relname::text || ' '::text || l.mode
               from pg_locks l
               join pg_class c on c.oid = l.relation
               join pg_namespace n on n.oid = c.relnamespace
              where l.pid = a.pid and l.granted and l.database = a.datid and c.relkind in ('r', 'p')
                and n.nspname in ($1::name, $2::name) and l.mode <> 'AccessShareLock'::text
              order by 1) as locks
  from pg_stat_activity a
 where a.pid <> pg_backend_pid()
   and (a.datname = current_database() or a.datname is null and a.usesysid is not null and a.backend_xmin is not null)
   and coalesce(a.backend_type, ''::text) not in ('autovacuum worker', 'parallel worker')
   and (a.xact_start is not null or a.backend_xmin is not null or a.backend_xid is not null or a.pid = any ($3::integer[]))
 order by a.xact_start, greatest(age(a.backend_xmin), age(a.backend_xid)) desc nulls last
 limit $4;
