-- The age of the oldest open transaction in this database that keeps vacuum from removing rows, including prepared
-- ones. Without the role pg_read_all_stats only those of the same user are visible.
-- Params: none
-- Returns: ageMs bigint
select greatest(0, extract(epoch from clock_timestamp() - least(
         (select min(a.xact_start) from pg_stat_activity a
           where a.datname = current_database() and a.pid <> pg_backend_pid()
             and (a.backend_xmin is not null or a.backend_xid is not null)),
         (select min(x.prepared) from pg_prepared_xacts x where x.database = current_database()),
         clock_timestamp())) * 1000.0)::bigint as "ageMs";
