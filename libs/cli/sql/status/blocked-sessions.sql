-- The sessions of this database that wait for a lock, longest first, and who holds it or waits for it ahead of them;
-- pid 0 is a prepared transaction.
-- Params: most integer
-- Returns: pid integer, login text?, applicationName text?, waitingMs bigint?, lockType text, mode text, relation text?,
--   blockedBy integer[]
select l.pid, a.usename::text as login, a.application_name as "applicationName",
       floor(extract(epoch from clock_timestamp() - l.waitstart) * 1000.0)::bigint as "waitingMs",
       l.locktype as "lockType", l.mode, c.relname::text as relation, pg_blocking_pids(l.pid) as "blockedBy"
  from pg_locks l
  join pg_stat_activity a on a.pid = l.pid
  left join pg_class c on c.oid = l.relation and a.datid = l.database
 where not l.granted and a.datname = current_database()
 order by l.waitstart
 limit $1;
