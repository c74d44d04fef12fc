-- The bus's id, and the epoch of its log.
-- Params: none
-- Returns: busId text, logEpoch bigint
-- Index: the whole of two small tables
select b.bus_id::text as "busId", b.log_epoch as "logEpoch" from :bus.bus_identity() b;
