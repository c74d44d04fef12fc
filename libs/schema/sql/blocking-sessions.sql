-- The sessions that a session waits for: those that hold a lock, or wait for one ahead of it.
-- Params: pid integer
-- Returns: pid integer, login text?, applicationName text?, clientAddress text?, since timestamptz?
select b.pid, a.usename::text as login, a.application_name as "applicationName", host(a.client_addr) as "clientAddress",
       coalesce(a.xact_start, a.backend_start) as since
  from unnest(pg_blocking_pids($1)) as b (pid)
  left join pg_stat_activity a on a.pid = b.pid;
