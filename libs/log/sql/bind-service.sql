-- The service's id, and the log's epoch that it has caught up with; binds the service to a bus at its first contact. Raises
-- WB054 for another bus.
-- Params: busId uuid, logEpoch bigint
-- Returns: serviceId text, logEpoch bigint
-- Locks: the service's row, the first time
select b.service_id::text as "serviceId", b.log_epoch as "logEpoch" from :schema.service_bind($1::uuid, $2) b;
