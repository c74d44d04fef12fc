-- Assigns the current transaction its id, and returns it with the cluster and timeline.
-- Params: none
-- Returns: xid text, systemIdentifier text, timeline text
select pg_current_xact_id()::text as xid, (select c.system_identifier from pg_control_system() c)::text
         as "systemIdentifier", substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline;
