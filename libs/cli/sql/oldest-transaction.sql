-- The oldest open transaction of this database, prepared ones included. An autovacuum worker's ends by itself, and
-- nobody can commit it.
-- Params: none
-- Returns: who text, ageMs bigint, seesAll boolean
select t.who, t."ageMs", pg_has_role('pg_read_all_stats', 'USAGE') as "seesAll"
  from (select format('session %s of %s (%s)', a.pid, a.usename, a.application_name) as who,
               floor(extract(epoch from clock_timestamp() - a.xact_start) * 1000.0)::bigint as "ageMs"
          from pg_stat_activity a
         where a.datname = current_database() and a.pid <> pg_backend_pid() and a.xact_start is not null
           and coalesce(a.backend_type, ''::text) <> 'autovacuum worker'
         union all
        select format('prepared transaction %L of %s', x.gid, x.owner),
               floor(extract(epoch from clock_timestamp() - x.prepared) * 1000.0)::bigint
          from pg_prepared_xacts x
         where x.database = current_database()) t
 order by t."ageMs" desc
 limit 1;
