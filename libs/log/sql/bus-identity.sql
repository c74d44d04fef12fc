-- The bus's id, the epoch of its log, and when its server was started, in microseconds.
-- Params: none
-- Returns: busId text, logEpoch bigint, incarnation bigint
-- Index: the whole of two small tables
select b.bus_id::text as "busId", b.log_epoch as "logEpoch",
       (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000::double precision)::bigint as incarnation
  from :bus.bus_identity() b;
