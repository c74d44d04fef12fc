-- The prepared transactions of this database, oldest first, with what each holds on tables of the two schemas.
-- Params: schemaName text, busSchemaName text, most integer
-- Returns: gid text, owner text, ageMs bigint, locks text[]
select x.gid, x.owner::text as owner,
       floor(extract(epoch from clock_timestamp() - x.prepared) * 1000.0)::bigint as "ageMs",
       array(select distinct c.relname::text || ' '::text || l.mode
               from pg_locks own
               join pg_locks l on l.virtualtransaction = own.virtualtransaction and l.pid is null
               join pg_class c on c.oid = l.relation
               join pg_namespace n on n.oid = c.relnamespace
              where own.transactionid = x.transaction and own.granted and own.pid is null and c.relkind in ('r', 'p')
                and n.nspname in ($1::name, $2::name) and l.mode <> 'AccessShareLock'::text
              order by 1) as locks
  from pg_prepared_xacts x
 where x.database = current_database()
 order by x.prepared
 limit $3;
