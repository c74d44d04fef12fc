-- What the log holds of a source: the bus's id, the log's epoch, and the newest pass (n = 0: none).
-- Params: serviceId uuid
-- Returns: busId text, logEpoch bigint, n bigint, token text?
-- Index: source_service_id_key, log_source_n
select a.bus_id::text as "busId", a.log_epoch as "logEpoch", a.n, a.token::text as token from :bus.source_ask($1::uuid) a;
