// Made by scripts/build-sql.mjs from ../sql/status; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * The sessions of this database that wait for a lock, longest first, and who holds it or waits for it ahead of them;
 * pid 0 is a prepared transaction.
 */
export const blockedSessions = statement<[most: number], { pid: number; login: string | null; applicationName: string | null; waitingMs: number | null; lockType: string; mode: string; relation: string | null; blockedBy: readonly number[] }>('blocked-sessions', `select l.pid, a.usename::text as login, a.application_name as "applicationName",
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - l.waitstart) * 1000.0)::bigint as "waitingMs",
       l.locktype as "lockType", l.mode, c.relname::text as relation, pg_catalog.pg_blocking_pids(l.pid) as "blockedBy"
  from pg_catalog.pg_locks l
  join pg_catalog.pg_stat_activity a on a.pid = l.pid
  left join pg_catalog.pg_class c on c.oid = l.relation and a.datid = l.database
 where not l.granted and a.datname = pg_catalog.current_database()
 order by l.waitstart
 limit $1`);

/**
 * The sessions with an open transaction in this database, and standbys that hold a snapshot through their walsender;
 * also sessions with these pids. Oldest first. Of others a login without pg_read_all_stats sees neither state, nor age,
 * nor query; then only those that hold a snapshot or a transaction id are known. locks: what each holds on tables of the
 * two schemas, stronger than for reading. A session that is still starting, of no login yet, holds its snapshot for moments.
 */
export const openTransactions = statement<[schemaName: string, busSchemaName: string, alsoPids: readonly (number | null)[], most: number], { pid: number; login: string | null; applicationName: string | null; backendType: string | null; state: string | null; ageMs: number | null; stateAgeMs: number | null; xidAge: number | null; query: string | null; isVisible: boolean; locks: readonly string[] }>('open-transactions', `select a.pid, a.usename::text as login, a.application_name as "applicationName", a.backend_type as "backendType", a.state,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start) * 1000.0)::bigint as "ageMs",
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - a.state_change) * 1000.0)::bigint as "stateAgeMs",
       greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid)) as "xidAge",
       case when pg_catalog.pg_has_role(a.usesysid, 'USAGE') or pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') then a.query end as query,
       coalesce(pg_catalog.pg_has_role(a.usesysid, 'USAGE'), false) or pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') as "isVisible",
       array(select distinct c.relname::text || ' '::text || l.mode
               from pg_catalog.pg_locks l
               join pg_catalog.pg_class c on c.oid = l.relation
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where l.pid = a.pid and l.granted and l.database = a.datid and c.relkind in ('r', 'p')
                and n.nspname in ($1::name, $2::name) and l.mode <> 'AccessShareLock'::text
              order by 1) as locks
  from pg_catalog.pg_stat_activity a
 where a.pid <> pg_catalog.pg_backend_pid()
   and (a.datname = pg_catalog.current_database() or a.datname is null and a.usesysid is not null and a.backend_xmin is not null)
   and coalesce(a.backend_type, ''::text) not in ('autovacuum worker', 'parallel worker')
   and (a.xact_start is not null or a.backend_xmin is not null or a.backend_xid is not null or a.pid = any ($3::integer[]))
 order by a.xact_start, greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid)) desc nulls last
 limit $4`);

/**
 * The prepared transactions of this database, oldest first, with what each holds on tables of the two schemas.
 */
export const preparedTransactions = statement<[schemaName: string, busSchemaName: string, most: number], { gid: string; owner: string; ageMs: number; locks: readonly string[] }>('prepared-transactions', `select x.gid, x.owner::text as owner,
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - x.prepared) * 1000.0)::bigint as "ageMs",
       array(select distinct c.relname::text || ' '::text || l.mode
               from pg_catalog.pg_locks own
               join pg_catalog.pg_locks l on l.virtualtransaction = own.virtualtransaction and l.pid is null
               join pg_catalog.pg_class c on c.oid = l.relation
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where own.transactionid = x.transaction and own.granted and own.pid is null and c.relkind in ('r', 'p')
                and n.nspname in ($1::name, $2::name) and l.mode <> 'AccessShareLock'::text
              order by 1) as locks
  from pg_catalog.pg_prepared_xacts x
 where x.database = pg_catalog.current_database()
 order by x.prepared
 limit $3`);

/**
 * The replication slots of the server that keep something: rows for a standby, or WAL for a reader that is not connected.
 * Since when a slot is unused, servers before PostgreSQL 17 do not know.
 */
export const replicationSlots = statement<[], { name: string; kind: string; isActive: boolean; xidAge: number | null; retainedBytes: number | null; walStatus: string | null; unusedMs: number | null }>('replication-slots', `select s.slot_name::text as name, s.slot_type as kind, s.active as "isActive",
       greatest(pg_catalog.age(s.xmin), case when s.database = pg_catalog.current_database() then pg_catalog.age(s.catalog_xmin) end) as "xidAge",
       pg_catalog.pg_wal_lsn_diff(case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() else pg_catalog.pg_current_wal_lsn() end,
                       s.restart_lsn)::bigint as "retainedBytes",
       s.wal_status as "walStatus",
       pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp()
                     - (pg_catalog.to_jsonb(s) ->> 'inactive_since'::text)::timestamptz) * 1000.0)::bigint as "unusedMs"
  from pg_catalog.pg_replication_slots s
 where not s.active or s.xmin is not null
 order by s.slot_name`);

/**
 * Which database this is, in which cluster, whether its server is a standby, and whether the login sees the sessions of others.
 */
export const sessionRights = statement<[], { cluster: string; database: string; login: string; seesAll: boolean; isStandby: boolean }>('session-rights', `select (select c.system_identifier from pg_catalog.pg_control_system() c)::text as cluster, pg_catalog.current_database()::text as database,
       session_user::text as login, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') as "seesAll",
       pg_catalog.pg_is_in_recovery() as "isStandby"`);
