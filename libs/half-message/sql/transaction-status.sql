-- How a transaction has ended, if this is still the cluster and the timeline on which it got its id. Everything that
-- the response is based on is on disk when it arrives. An id that was not assigned yet is an error (22023).
-- Params: xid text, systemIdentifier text, timeline text
-- Returns: same boolean, status text?
select i.same, case when i.same then pg_xact_status($1::text::xid8) end as status,
       set_config('synchronous_commit', 'on', true) as durability, pg_logical_emit_message(true, 'waybill', '')::text as lsn
  from (select (select c.system_identifier from pg_control_system() c)::text = $2
               and substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) = $3 as same) i;
