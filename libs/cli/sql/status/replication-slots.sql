-- The replication slots of the server that keep something: rows for a standby, or WAL for a reader that is not connected.
-- Since when a slot is unused, servers before PostgreSQL 17 do not know.
-- Params: none
-- Returns: name text, kind text, isActive boolean, xidAge integer?, retainedBytes bigint?, walStatus text?, unusedMs bigint?
select s.slot_name::text as name, s.slot_type as kind, s.active as "isActive",
       greatest(age(s.xmin), case when s.database = current_database() then age(s.catalog_xmin) end) as "xidAge",
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
                       s.restart_lsn)::bigint as "retainedBytes",
       s.wal_status as "walStatus",
       floor(extract(epoch from clock_timestamp()
                     - (to_jsonb(s) ->> 'inactive_since'::text)::timestamptz) * 1000.0)::bigint as "unusedMs"
  from pg_replication_slots s
 where not s.active or s.xmin is not null
 order by s.slot_name;
