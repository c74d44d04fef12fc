// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';
export * from './statements-status.generated.js';

/**
 * What kind of server this is, and what its sessions begin with unless they say otherwise.
 */
export const examineServer = statement<[], { versionNumber: number; version: string; isolation: string; now: Date }>('examine-server', `select pg_catalog.current_setting('server_version_num')::integer as "versionNumber",
       pg_catalog.current_setting('server_version') as version,
       (select s.reset_val from pg_catalog.pg_settings s where s.name = 'default_transaction_isolation') as isolation,
       pg_catalog.clock_timestamp() as now`);

/**
 * The oldest open transaction of this database, prepared ones included. An autovacuum worker's ends by itself, and
 * nobody can commit it.
 */
export const oldestTransaction = statement<[], { who: string; ageMs: number; seesAll: boolean }>('oldest-transaction', `select t.who, t."ageMs", pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') as "seesAll"
  from (select pg_catalog.format('session %s of %s (%s)', a.pid, a.usename, a.application_name) as who,
               pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start) * 1000.0)::bigint as "ageMs"
          from pg_catalog.pg_stat_activity a
         where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid() and a.xact_start is not null
           and coalesce(a.backend_type, ''::text) <> 'autovacuum worker'
         union all
        select pg_catalog.format('prepared transaction %L of %s', x.gid, x.owner),
               pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - x.prepared) * 1000.0)::bigint
          from pg_catalog.pg_prepared_xacts x
         where x.database = pg_catalog.current_database()) t
 order by t."ageMs" desc
 limit 1`);

/**
 * Topics that keep their records for less than a time.
 */
export const shortRetentions = statement<[horizonMs: number], { name: string; retentionMs: number }>('short-retentions', `select t.name, t.retention_ms as "retentionMs"
  from :bus.topic t
 where t.retention_ms < $1::bigint
 order by t.name`);
