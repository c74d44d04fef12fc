-- The sessions that hold the migrator's lock. Values of others that this login may not see are null.
-- Params: lockName text
-- Returns: pid integer, login text?, applicationName text?, clientAddress text?, since timestamptz?
select l.pid, a.usename::text as login, a.application_name as "applicationName", host(a.client_addr) as "clientAddress",
       coalesce(a.state_change, a.backend_start) as since
  from pg_locks l
  left join pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and l.granted and l.objsubid = 1
   and l.database = (select d.oid from pg_database d where d.datname = current_database())
   and l.classid::bigint = (hashtext($1)::bigint >> 32) & 4294967295
   and l.objid::bigint = hashtext($1)::bigint & 4294967295;
