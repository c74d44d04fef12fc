// Made by scripts/build-sql.mjs from ../sql; do not edit.
import { statement } from '@waybill/kernel/internal';

/**
 * The ledger of the log's migrations, oldest first.
 * Index: the whole of a small table
 */
export const appliedBusMigrations = statement<[], { number: number; name: string; checksum: string; breaking: boolean; appliedAt: Date }>('applied-bus-migrations', `select m.number, m.name, m.checksum, m.breaking, m.applied_at as "appliedAt"
  from :bus.migration m
 order by m.number`);

/**
 * The ledger of migrations, oldest first.
 * Index: the whole of a small table
 */
export const appliedMigrations = statement<[], { number: number; name: string; checksum: string; breaking: boolean; appliedAt: Date }>('applied-migrations', `select m.number, m.name, m.checksum, m.breaking, m.applied_at as "appliedAt"
  from :schema.migration m
 order by m.number`);

/**
 * The sessions that a session waits for: those that hold a lock, or wait for one ahead of it.
 */
export const blockingSessions = statement<[pid: number], { pid: number; login: string | null; applicationName: string | null; clientAddress: string | null; since: Date | null }>('blocking-sessions', `select b.pid, a.usename::text as login, a.application_name as "applicationName", pg_catalog.host(a.client_addr) as "clientAddress",
       coalesce(a.xact_start, a.backend_start) as since
  from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) as b (pid)
  left join pg_catalog.pg_stat_activity a on a.pid = b.pid`);

/**
 * The unique identity of this database: cluster, database, and the schema's oid.
 */
export const databaseIdentity = statement<[schemaName: string], { identity: string }>('database-identity', `select (select c.system_identifier from pg_catalog.pg_control_system() c)::text
       || '/' || (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())::text
       || '/' || coalesce((select n.oid from pg_catalog.pg_namespace n where n.nspname = $1), 0)::text as identity`);

/**
 * All rights of a login on the objects of the schema, from grants to itself, to roles that it inherits from, or to
 * PUBLIC. Slots of rings only if something was granted on them.
 */
export const effectiveRights = statement<[login: string, schemaName: string], { kind: string; name: string; columnName: string | null; privilege: string; byAll: boolean }>('effective-rights', `select 'schema' as kind, ''::text as name, null::text as "columnName", pg_catalog.lower(p.name) as privilege,
       pg_catalog.has_schema_privilege('public'::name, n.oid, p.name) as "byAll"
  from pg_catalog.pg_namespace n
 cross join (values ('USAGE'), ('CREATE')) p (name)
 where n.nspname = $2 and pg_catalog.has_schema_privilege($1::name, n.oid, p.name)
union all
select 'table', c.relname::text, null, pg_catalog.lower(p.name), pg_catalog.has_table_privilege('public'::name, c.oid, p.name)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) p (name)
 where n.nspname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f') and pg_catalog.has_table_privilege($1::name, c.oid, p.name)
union all
select 'table', c.relname::text, a.attname::text, pg_catalog.lower(p.name),
       pg_catalog.has_column_privilege('public'::name, c.oid, a.attnum, p.name)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attacl is not null
 cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) p (name)
 where n.nspname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
   and pg_catalog.has_column_privilege($1::name, c.oid, a.attnum, p.name) and not pg_catalog.has_table_privilege($1::name, c.oid, p.name)
union all
select 'sequence', c.relname::text, null, pg_catalog.lower(p.name), pg_catalog.has_sequence_privilege('public'::name, c.oid, p.name)
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 cross join (values ('USAGE'), ('SELECT'), ('UPDATE')) p (name)
 where n.nspname = $2 and c.relkind = 'S' and pg_catalog.has_sequence_privilege($1::name, c.oid, p.name)
union all
select distinct 'function', f.proname::text, null, 'execute', pg_catalog.has_function_privilege('public'::name, f.oid, 'EXECUTE')
  from pg_catalog.pg_proc f
  join pg_catalog.pg_namespace n on n.oid = f.pronamespace
 where n.nspname = $2 and pg_catalog.has_function_privilege($1::name, f.oid, 'EXECUTE')
 order by 1, 2, 3, 4`);

/**
 * Restricted logins, and their entries.
 * Index: the whole of two small tables
 */
export const listAcl = statement<[], { login: string; action: string | null; topics: string | null; groups: string | null }>('list-acl', `select l.login, a.action, a.topic_pattern as topics, a.group_pattern as groups
  from :schema.acl_login l
  left join :schema.acl a on a.login = l.login
 order by l.login, a.action, a.topic_pattern, a.group_pattern`);

/**
 * The rings of a schema: how many slots each has, how many are empty, its size on disk, and the sessions that hold a lock
 * on one of its slots, which then cannot be emptied. A slot that is locked exclusively is not measured: that would wait.
 */
export const listRings = statement<[schemaName: string], { ring: string; slots: number; emptySlots: number; bytes: number; locked: number; lockedBy: readonly number[] }>('list-rings', `with slot as materialized (
  select p.relname::text as ring, i.inhrelid as id
    from pg_catalog.pg_partitioned_table t
    join pg_catalog.pg_class p on p.oid = t.partrelid
    join pg_catalog.pg_namespace n on n.oid = p.relnamespace
    join pg_catalog.pg_inherits i on i.inhparent = t.partrelid
   where n.nspname = $1::name
), held as materialized (
  select l.relation as id, l.pid, l.mode
    from pg_catalog.pg_locks l
   where l.granted and l.locktype = 'relation'::text and l.pid is distinct from pg_catalog.pg_backend_pid()
     and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
     and l.relation in (select s.id from slot s)
), measured as materialized (
  select s.ring, s.id, k.shut, case when k.shut then null else pg_catalog.pg_relation_size(s.id::regclass) end as heap,
         case when k.shut then null else pg_catalog.pg_total_relation_size(s.id::regclass) end as bytes
    from slot s
   cross join lateral (select exists (select from held h where h.id = s.id and h.mode = 'AccessExclusiveLock'::text) as shut
                       offset 0) k
)
select m.ring, pg_catalog.count(*)::integer as slots, (pg_catalog.count(*) filter (where m.heap = 0))::integer as "emptySlots",
       coalesce(pg_catalog.sum(m.bytes), 0.0)::bigint as bytes, (pg_catalog.count(*) filter (where m.shut))::integer as locked,
       array(select distinct h.pid from held h join slot s on s.id = h.id
              where s.ring = m.ring and h.pid is not null order by 1) as "lockedBy"
  from measured m
 group by m.ring
 order by m.ring`);

/**
 * The sessions that hold the migrator's lock. Values of others that this login may not see are null.
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
 * What a login may do because of its attributes, ownership and memberships, without grants. No row: there is no such
 * role.
 */
export const loginPowers = statement<[login: string, schemaName: string], { superuser: boolean; bypassesRowSecurity: boolean; createsRoles: boolean; replicates: boolean; owned: readonly string[]; memberOf: readonly string[]; members: readonly string[] }>('login-powers', `select r.rolsuper as superuser, r.rolbypassrls as "bypassesRowSecurity", r.rolcreaterole as "createsRoles",
       r.rolreplication as replicates,
       array(select o.name
               from (select 'schema '::text || n.nspname::text as name, n.nspowner as owner from pg_catalog.pg_namespace n where n.nspname = $2
                     union all
                     select c.relname::text, c.relowner from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                      where n.nspname = $2 and c.relkind in ('r', 'p', 'S', 'v', 'm', 'f') and not c.relispartition
                     union all
                     select f.proname::text, f.proowner from pg_catalog.pg_proc f join pg_catalog.pg_namespace n on n.oid = f.pronamespace
                      where n.nspname = $2) o
              where not r.rolsuper and pg_catalog.pg_has_role(r.oid, o.owner, 'MEMBER')
              order by o.name !~ '^schema '::text, o.name) as owned,
       array(select g.rolname::text from pg_catalog.pg_roles g
              where not r.rolsuper and g.oid <> r.oid and pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
              order by 1) as "memberOf",
       array(select m.rolname::text from pg_catalog.pg_roles m
              where not m.rolsuper and m.oid <> r.oid and pg_catalog.pg_has_role(m.oid, r.oid, 'MEMBER')
              order by 1) as members
  from pg_catalog.pg_roles r
 where r.rolname = $1::name`);

/**
 * The login of the session.
 */
export const ownLogin = statement<[], { login: string }>('own-login', `select session_user::text as login`);

/**
 * The server process of this session.
 */
export const ownPid = statement<[], { pid: number }>('own-pid', `select pg_catalog.pg_backend_pid() as pid`);

/**
 * Writes one migration into the ledger, in the transaction that applied it.
 */
export const recordMigration = statement<[number: number, name: string, checksum: string, breaking: boolean], Record<never, never>>('record-migration', `insert into :schema.migration (number, name, checksum, breaking) values ($1, $2, $3, $4)`);

/**
 * The login of the session, and whether it is restricted to certain topics and groups.
 */
export const restriction = statement<[], { login: string; restricted: boolean }>('restriction', `select session_user::text as login, not :schema.acl_open() as restricted`);

/**
 * Tables of the schema with foreign row-level security that applies to this login, and whether any policy admits rows.
 * Our own policies are named waybill_…: they hide only rows that the login is restricted from.
 */
export const securedTables = statement<[schemaName: string], { name: string; hasPolicy: boolean }>('secured-tables', `select c.relname as name, exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid) as "hasPolicy"
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = $1 and c.relkind in ('r', 'p') and c.relrowsecurity and pg_catalog.row_security_active(c.oid)
   and (exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid and p.polname !~ '^waybill_'::text)
        or not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid))
 order by c.relname`);

/**
 * The server's version, as a number to compare and as a text to show; and the schemas of the search path, in search
 * order, separated by commas.
 */
export const serverVersion = statement<[], { versionNumber: number; version: string; searched: string }>('server-version', `select pg_catalog.current_setting('server_version_num')::integer as "versionNumber", pg_catalog.current_setting('server_version') as version,
       pg_catalog.array_to_string(pg_catalog.current_schemas(true), ',') as searched`);

/**
 * Whether the ledger and the schema exist.
 */
export const tableExists = statement<[schemaName: string], { schemaExists: boolean; ledgerExists: boolean }>('table-exists', `select exists (select from pg_catalog.pg_namespace n where n.nspname = $1) as "schemaExists",
       exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                where n.nspname = $1 and c.relname = 'migration') as "ledgerExists"`);
