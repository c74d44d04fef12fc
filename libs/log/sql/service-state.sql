-- The service's id, the bus that it is bound to, and the log's epoch that it has caught up with.
-- Params: none
-- Returns: serviceId text, busId text?, logEpoch bigint?
-- Index: one row
select s.id::text as "serviceId", s.bus_id::text as "busId", s.log_epoch as "logEpoch" from :schema.service s;
