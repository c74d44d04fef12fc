-- The rings of a schema: how many slots each has, how many are empty, its size on disk, and the sessions that hold a lock
-- on one of its slots, which then cannot be emptied. A slot that is locked exclusively is not measured: that would wait.
-- Params: schemaName text
-- Returns: ring text, slots integer, emptySlots integer, bytes bigint, locked integer, lockedBy integer[]
with slot as materialized (
  select p.relname::text as ring, i.inhrelid as id
    from pg_partitioned_table t
    join pg_class p on p.oid = t.partrelid
    join pg_namespace n on n.oid = p.relnamespace
    join pg_inherits i on i.inhparent = t.partrelid
   where n.nspname = $1::name
), held as materialized (
  select l.relation as id, l.pid, l.mode
    from pg_locks l
   where l.granted and l.locktype = 'relation'::text and l.pid is distinct from pg_backend_pid()
     and l.database = (select d.oid from pg_database d where d.datname = current_database())
     and l.relation in (select s.id from slot s)
), measured as materialized (
  select s.ring, s.id, k.shut, case when k.shut then null else pg_relation_size(s.id::regclass) end as heap,
         case when k.shut then null else pg_total_relation_size(s.id::regclass) end as bytes
    from slot s
   cross join lateral (select exists (select from held h where h.id = s.id and h.mode = 'AccessExclusiveLock'::text) as shut
                       offset 0) k
)
select m.ring, count(*)::integer as slots, (count(*) filter (where m.heap = 0))::integer as "emptySlots",
       coalesce(sum(m.bytes), 0.0)::bigint as bytes, (count(*) filter (where m.shut))::integer as locked,
       array(select distinct h.pid from held h join slot s on s.id = h.id
              where s.ring = m.ring and h.pid is not null order by 1) as "lockedBy"
  from measured m
 group by m.ring
 order by m.ring;
