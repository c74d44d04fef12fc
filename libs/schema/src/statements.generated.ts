// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel';

/**
 * The ledger of migrations, oldest first.
 * Index: the whole of a small table
 */
export const appliedMigrations = statement<[], { number: number; name: string; checksum: string; breaking: boolean; appliedAt: Date }>('applied-migrations', `select m.number, m.name, m.checksum, m.breaking, m.applied_at as "appliedAt"
  from :schema.migration m
 order by m.number`);

/**
 * The sessions that a session waits for: that hold a lock, or wait for one ahead of it.
 */
export const blockingSessions = statement<[pid: number], { pid: number; login: string | null; applicationName: string | null; clientAddress: string | null; since: Date | null }>('blocking-sessions', `select b.pid, a.usename::text as login, a.application_name as "applicationName", pg_catalog.host(a.client_addr) as "clientAddress",
       coalesce(a.xact_start, a.backend_start) as since
  from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) as b (pid)
  left join pg_catalog.pg_stat_activity a on a.pid = b.pid`);

/**
 * What tells this database from every other: cluster, database, and the schema's own oid.
 */
export const databaseIdentity = statement<[schemaName: string], { identity: string }>('database-identity', `select (select c.system_identifier from pg_catalog.pg_control_system() c)::text
       || '/' || (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())::text
       || '/' || coalesce((select n.oid from pg_catalog.pg_namespace n where n.nspname = $1), 0)::text as identity`);

/**
 * The sessions that hold the migrator's lock. What this login may not see of others is null.
 */
export const lockHolders = statement<[lockName: string], { pid: number; login: string | null; applicationName: string | null; clientAddress: string | null; since: Date | null }>('lock-holders', `select l.pid, a.usename::text as login, a.application_name as "applicationName", pg_catalog.host(a.client_addr) as "clientAddress",
       coalesce(a.state_change, a.backend_start) as since
  from pg_catalog.pg_locks l
  left join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'advisory' and l.granted and l.objsubid = 1
   and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
   and l.classid::bigint = (pg_catalog.hashtext($1)::bigint >> 32) & 4294967295
   and l.objid::bigint = pg_catalog.hashtext($1)::bigint & 4294967295`);

/**
 * The server process of this session.
 */
export const ownPid = statement<[], { pid: number }>('own-pid', `select pg_catalog.pg_backend_pid() as pid`);

/**
 * Writes one migration into the ledger, in the transaction that has applied it.
 */
export const recordMigration = statement<[number: number, name: string, checksum: string, breaking: boolean], Record<never, never>>('record-migration', `insert into :schema.migration (number, name, checksum, breaking) values ($1, $2, $3, $4)`);

/**
 * Tables of the schema on which row-level security holds for this login, and whether any policy lets rows through.
 */
export const securedTables = statement<[schemaName: string], { name: string; hasPolicy: boolean }>('secured-tables', `select c.relname as name, exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid) as "hasPolicy"
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = $1 and c.relkind in ('r', 'p') and c.relrowsecurity and pg_catalog.row_security_active(c.oid)
 order by c.relname`);

/**
 * The server's version, as a number to compare and as a text to show; and the schemas of the search path, in the order in
 * which they are searched, with a comma between.
 */
export const serverVersion = statement<[], { versionNumber: number; version: string; searched: string }>('server-version', `select pg_catalog.current_setting('server_version_num')::integer as "versionNumber", pg_catalog.current_setting('server_version') as version,
       pg_catalog.array_to_string(pg_catalog.current_schemas(true), ',') as searched`);

/**
 * Whether the ledger and the schema exist.
 */
export const tableExists = statement<[schemaName: string], { schemaExists: boolean; ledgerExists: boolean }>('table-exists', `select exists (select from pg_catalog.pg_namespace n where n.nspname = $1) as "schemaExists",
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = 'migration') as "ledgerExists"`);
