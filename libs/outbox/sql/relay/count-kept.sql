-- Passes after a number, and how many of their rows the outbox still has. Rows of timers are among them.
-- Params: afterN bigint
-- Returns: n bigint, rowCount integer, kept integer, madeAt timestamptz
-- Index: relay_intent_n, then outbox_order for each pass
select i.n, i.row_count as "rowCount", i.made_at as "madeAt",
       (select pg_catalog.count(*)::integer from :schema.outbox o
         where o.id > i.after_id and o.id <= i.upto_id and pg_catalog.pg_visible_in_snapshot(o.xid, i.target)
           and not pg_catalog.pg_visible_in_snapshot(o.xid, i.base)) as kept
  from (select distinct on (x.n) x.* from :schema.relay_intent x where x.n > $1 order by x.n, x.version desc) i
 order by i.n;
