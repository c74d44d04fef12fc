-- How many committed messages wait for the relay (counted up to 100,000), and the age of the oldest of them.
-- Params: none
-- Returns: waiting integer, oldestAgeMs bigint?
-- Index: outbox_xid
select count(*)::integer as waiting,
       (extract(epoch from clock_timestamp() - min(w.created_at)) * 1000.0)::bigint as "oldestAgeMs"
  from (select o.created_at
          from :schema.relay_place() c
          cross join lateral (
            select o.created_at, o.xid, o.id from :schema.outbox o
             where o.xid >= pg_snapshot_xmax(c.base) or o.xid = any (array(select pg_snapshot_xip(c.base)))
          ) o
         where c.target is null or o.id > c.window_id or not pg_visible_in_snapshot(o.xid, c.target)
         limit 100000) w;
